#!/usr/bin/python3
"""kazoo_tour.py SERVERS ROOT: what kazoo's users do with a server. Ends with 0 and "done"."""
import socket
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (BadVersionError, NoAuthError, NodeExistsError, NoNodeError,
                              NotEmptyError, RolledBackError, RuntimeInconsistency)
from kazoo.security import make_acl, make_digest_acl

SERVERS, ROOT = sys.argv[1:]


def expect(error, call, *words, **options):
    try:
        call(*words, **options)
    except error:
        return
    raise AssertionError("%s was not raised by %s" % (error.__name__, call))


def connect(**options):
    client = KazooClient(SERVERS + ROOT, timeout=10, **options)
    client.start(timeout=20)
    return client


def nodes(zk):
    assert zk.create("/a", b"one") == "/a"
    data, stat = zk.get("/a")
    assert data == b"one" and stat.version == 0 and stat.dataLength == 3
    expect(NodeExistsError, zk.create, "/a")
    expect(NoNodeError, zk.get, "/none")
    expect(BadVersionError, zk.set, "/a", b"two", version=7)
    assert zk.set("/a", b"two", version=0).version == 1
    zk.ensure_path("/a/b/c")
    assert zk.get_children("/a") == ["b"]
    expect(NotEmptyError, zk.delete, "/a/b")
    zk.delete("/a", recursive=True)
    assert zk.exists("/a") is None
    assert zk.create("/s-", sequence=True) == "/s-0000000001"
    path, stat = zk.create("/with", b"", include_data=True)
    assert path == "/with" and stat.czxid == stat.mzxid
    binary = bytes(range(256)) * 100
    zk.set("/with", binary)
    assert zk.get("/with")[0] == binary


def transactions(zk):
    t = zk.transaction()
    t.create("/t", b"1")
    t.set_data("/t", b"2")
    t.check("/t", 1)
    t.create("/t/x")
    results = t.commit()
    assert results[0] == "/t" and results[1].version == 1 and results[2] is True, results
    t = zk.transaction()
    t.delete("/t/x")
    t.create("/t")
    t.delete("/t")
    results = t.commit()
    kinds = [type(result) for result in results]
    assert kinds == [RolledBackError, NodeExistsError, RuntimeInconsistency], kinds
    assert zk.exists("/t/x")


def watches(zk, other):
    seen, changed = [], threading.Event()

    def on_change(event):
        seen.append((event.type, event.path))
        changed.set()

    assert zk.exists("/w", watch=on_change) is None
    other.create("/w")
    assert changed.wait(10) and seen == [("CREATED", "/w")], seen
    values, children = [], []
    done = threading.Event()

    @zk.DataWatch("/w")
    def on_data(data, _):
        values.append(data)
        if data == b"last":
            done.set()
            return False

    @zk.ChildrenWatch("/w")
    def on_children(names):
        children.append(sorted(names))

    other.set("/w", b"first")
    other.create("/w/x")
    other.set("/w", b"last")
    assert done.wait(10) and values[0] == b"" and values[-1] == b"last", values
    deadline = time.time() + 10
    while children[-1] != ["x"]:
        assert time.time() < deadline, children
        time.sleep(0.01)


def access(zk, other):
    zk.add_auth("digest", "joe:secret")
    zk.create("/mine", b"x", acl=[make_digest_acl("joe", "secret", all=True)])
    assert zk.get("/mine")[0] == b"x"
    expect(NoAuthError, other.get, "/mine")
    expect(NoAuthError, other.set, "/mine", b"y")
    zk.set_acls("/mine", [make_acl("world", "anyone", read=True),
                          make_digest_acl("joe", "secret", all=True)])
    assert other.get("/mine")[0] == b"x"
    acls, stat = other.get_acls("/mine")
    assert len(acls) == 2 and stat.aversion == 1


def sessions():
    first = connect()
    first.create("/e", ephemeral=True)
    watcher = connect()
    gone = threading.Event()
    watcher.exists("/e", watch=lambda event: gone.set())
    session = first.client_id[0]
    states, back = [], threading.Event()

    def on_state(state):
        states.append(state)
        if state == KazooState.CONNECTED:
            back.set()

    first.add_listener(on_state)
    first._connection._socket.shutdown(socket.SHUT_RDWR)
    assert back.wait(20) and states == [KazooState.SUSPENDED, KazooState.CONNECTED], states
    assert first.client_id[0] == session and first.exists("/e") and not gone.is_set()
    first.stop()
    assert gone.wait(10)
    watcher.stop()


def recipes(zk, other):
    order = []
    with zk.Lock("/lock", "zk"):
        waiting = threading.Thread(target=lambda: contend(other, order))
        waiting.start()
        while len(zk.get_children("/lock")) < 2:
            time.sleep(0.01)
        order.append("first")
    waiting.join(20)
    assert order == ["first", "second"], order
    queue = zk.LockingQueue("/queue")
    queue.put(b"a")
    queue.put(b"b", 1)
    assert queue.get(timeout=5) == b"b" and queue.consume()
    counter = zk.Counter("/counter")
    counter += 3
    counter -= 1
    assert counter.value == 2
    barrier = zk.Barrier("/barrier")
    barrier.create()
    assert barrier.wait(0.1) is False
    barrier.remove()
    assert barrier.wait(5) is True


def contend(zk, order):
    with zk.Lock("/lock", "other"):
        order.append("second")


def main():
    setup = KazooClient(SERVERS)
    setup.start(timeout=20)
    setup.create(ROOT)
    setup.stop()
    zk, other = connect(), connect()
    nodes(zk)
    transactions(zk)
    watches(zk, other)
    access(zk, other)
    recipes(zk, other)
    assert b"Mode: standalone" in zk.command(b"srvr").encode()
    zk.stop()
    other.stop()
    sessions()
    print("done")


main()
