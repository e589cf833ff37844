// CuratorTour SERVERS ROOT: what Curator's users do with a server. Ends with 0 and "done".
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.retry.RetryOneTime;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

public class CuratorTour {
    static CuratorFramework connect(String servers) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(servers, 10000, 10000,
            new RetryOneTime(100));
        client.start();
        expect(client.blockUntilConnected(20, TimeUnit.SECONDS), "connected");
        return client;
    }

    static void expect(boolean condition, String what) {
        if (!condition) throw new AssertionError(what);
    }

    static void nodes(CuratorFramework c) throws Exception {
        c.create().creatingParentContainersIfNeeded().forPath("/a/b", "one".getBytes());
        expect(new String(c.getData().forPath("/a/b")).equals("one"), "data");
        try {
            c.setData().withVersion(5).forPath("/a/b", "x".getBytes());
            expect(false, "version");
        } catch (KeeperException.BadVersionException wanted) {
        }
        String path = c.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
            .forPath("/a/p-");
        expect(path.endsWith("p-0000000001"), path);
        List<CuratorTransactionResult> results = c.transaction().forOperations(
            c.transactionOp().create().forPath("/t", "1".getBytes()),
            c.transactionOp().setData().forPath("/t", "2".getBytes()),
            c.transactionOp().check().withVersion(1).forPath("/t"));
        expect(results.size() == 3 && results.get(1).getResultStat().getVersion() == 1, "multi");
        try {
            c.transaction().forOperations(c.transactionOp().delete().forPath("/t"),
                c.transactionOp().create().forPath("/a"));
            expect(false, "a transaction that fails");
        } catch (KeeperException.NodeExistsException wanted) {
        }
        expect(c.checkExists().forPath("/t") != null, "rolled back");
        c.delete().deletingChildrenIfNeeded().forPath("/a");
    }

    static void cache(CuratorFramework c) throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        c.create().forPath("/cache");
        try (CuratorCache cache = CuratorCache.build(c, "/cache")) { // a recursive watch
            cache.listenable().addListener((type, before, now) ->
                seen.add(type + " " + (now != null ? now : before).getPath()));
            cache.start();
            next(seen, "NODE_CREATED /cache");
            c.create().forPath("/cache/x");
            next(seen, "NODE_CREATED /cache/x");
            c.create().forPath("/cache/x/y");
            next(seen, "NODE_CREATED /cache/x/y");
            c.setData().forPath("/cache/x", "new".getBytes());
            next(seen, "NODE_CHANGED /cache/x");
            c.delete().forPath("/cache/x/y");
            next(seen, "NODE_DELETED /cache/x/y");
        }
    }

    static void next(BlockingQueue<String> seen, String wanted) throws Exception {
        String event = seen.poll(20, TimeUnit.SECONDS);
        expect(wanted.equals(event), wanted + " expected, seen " + event);
    }

    static void recipes(CuratorFramework c, CuratorFramework other) throws Exception {
        InterProcessMutex mutex = new InterProcessMutex(c, "/mutex");
        InterProcessMutex theirs = new InterProcessMutex(other, "/mutex");
        mutex.acquire();
        expect(!theirs.acquire(200, TimeUnit.MILLISECONDS), "excluded");
        mutex.release();
        expect(theirs.acquire(20, TimeUnit.SECONDS), "handed over");
        theirs.release();

        InterProcessReadWriteLock lock = new InterProcessReadWriteLock(c, "/rw");
        InterProcessReadWriteLock lock2 = new InterProcessReadWriteLock(other, "/rw");
        lock.readLock().acquire();
        expect(lock2.readLock().acquire(20, TimeUnit.SECONDS), "two readers");
        expect(!lock2.writeLock().acquire(200, TimeUnit.MILLISECONDS), "no writer");
        lock.readLock().release();
        lock2.readLock().release();

        LeaderLatch latch = new LeaderLatch(c, "/latch", "one");
        latch.start();
        expect(latch.await(20, TimeUnit.SECONDS), "leads");
        LeaderLatch latch2 = new LeaderLatch(other, "/latch", "two");
        latch2.start();
        latch.close();
        expect(latch2.await(20, TimeUnit.SECONDS), "leads next");
        latch2.close();

        DistributedAtomicLong number = new DistributedAtomicLong(c, "/number",
            new RetryOneTime(10));
        number.trySet(5L);
        expect(number.increment().postValue() == 6, "counted");

        DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(c, "/barrier", 2);
        DistributedDoubleBarrier barrier2 = new DistributedDoubleBarrier(other, "/barrier", 2);
        Thread second = new Thread(() -> {
            try {
                barrier2.enter(20, TimeUnit.SECONDS);
                barrier2.leave(20, TimeUnit.SECONDS);
            } catch (Exception failure) {
                failure.printStackTrace();
            }
        });
        second.start();
        expect(barrier.enter(20, TimeUnit.SECONDS), "entered");
        expect(barrier.leave(20, TimeUnit.SECONDS), "left");
        second.join();

        PersistentNode node = new PersistentNode(c, CreateMode.EPHEMERAL, false, "/node",
            "x".getBytes());
        node.start();
        expect(node.waitForInitialCreate(20, TimeUnit.SECONDS), "created");
        node.close();
        expect(other.checkExists().forPath("/node") == null, "gone");

        PersistentTtlNode ttl = new PersistentTtlNode(c, "/ttl", 60000, "x".getBytes());
        ttl.start();
        expect(ttl.waitForInitialCreate(20, TimeUnit.SECONDS), "ttl created");
        ttl.close();
    }

    public static void main(String[] words) throws Exception {
        CuratorFramework setup = connect(words[0]);
        setup.create().forPath(words[1]);
        setup.close();
        try (CuratorFramework c = connect(words[0] + words[1]);
             CuratorFramework other = connect(words[0] + words[1])) {
            nodes(c);
            cache(c);
            recipes(c, other);
        }
        System.out.println("done");
        System.exit(0);
    }
}
