"""The servers that are measured, each in a process of its own on loopback with its data in a
directory that goes with it, and what all comparisons share: rounds, medians, tables."""
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
START_TIMEOUT_S = 120
# Apache takes connections before it serves, and some of those it never answers: ask again.
REPLY_TIMEOUT_S = 0.1
FIRST_REPLY_PAUSE_S = 0.0002
SAVE_TIMEOUT_S = 120


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def parse(line):
    return {name: float(value) for name, value in
            (pair.split("=") for pair in line.split())}


def run(command, environment=None):
    """What a program of ours prints; ends with its complaint when it fails."""
    command = [str(word) for word in command]
    result = subprocess.run(command, env=environment, capture_output=True, text=True,
                            timeout=600, preexec_fn=die_with_parent)
    if result.returncode != 0:
        sys.exit("%s failed:\n%s" % (" ".join(command), result.stderr))
    return result.stdout


def alternate(names, rounds, measure):
    """Runs measure(name) for each name in each round, the first one another each time; medians
    of every figure by name."""
    results = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            results[name].append(measure(name))
    return {name: {figure: statistics.median(one[figure] for one in all_rounds)
                   for figure in all_rounds[0]}
            for name, all_rounds in results.items()}


def print_table(title, header, rows):
    print("\n### %s\n" % title)
    print("| %s |" % " | ".join(header))
    print("|%s" % ("---|" * len(header)))
    for row in rows:
        print("| %s |" % " | ".join(str(cell) for cell in row))
    sys.stdout.flush()


def receive_exactly(connection, size):
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("closed by the server")
        parts += part
    return parts


def ask_zookeeper(port, path):
    """Opens a session, asks for a node's stat, and closes the session: the reply's code."""
    name = path.encode()
    with socket.create_connection(("127.0.0.1", port), REPLY_TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">iiqiqi16s?", 45, 0, 0, 30000, 0, 16, b"", False))
        receive_exactly(connection, struct.unpack(">i", receive_exactly(connection, 4))[0])
        exists = struct.pack(">iii%ds?" % len(name), 1, 3, len(name), name, False)
        connection.sendall(struct.pack(">i", len(exists)) + exists)
        reply = receive_exactly(connection, struct.unpack(">i", receive_exactly(connection, 4))[0])
        connection.sendall(struct.pack(">iii", 8, 2, -11))
        return struct.unpack(">iqi", reply[:16])[2]


def ask_redis(port, key):
    """Whether a key is there, as a code like ZooKeeper's."""
    with socket.create_connection(("127.0.0.1", port), REPLY_TIMEOUT_S) as connection:
        connection.sendall(("EXISTS %s\r\n" % key).encode())
        reply = connection.recv(100)
        if reply.startswith(b":1") or key == "/" and reply.startswith(b":"):
            return 0
        return -1


class Server:
    """What the servers below have in common. They say `command()`."""
    protocol = "zookeeper"
    ask = staticmethod(ask_zookeeper)

    def __init__(self, parent=None):
        self.directory = tempfile.mkdtemp(prefix="zklua-bench-", dir=parent)
        self.process = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.prepare()

    def prepare(self):
        pass

    def start(self, wanted="/"):
        """Runs the server until it tells that `wanted` is there; the seconds that took."""
        log = open(self.directory + "/log", "ab")
        begun = time.monotonic()
        # Without preexec_fn, which would make the start of a process slow.
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL, cwd=self.directory)
        log.close()
        while not self.answers(wanted):
            if self.process.poll() is not None or time.monotonic() - begun > START_TIMEOUT_S:
                self.stop_process(signal.SIGKILL)
                sys.exit("%s does not start:\n%s" % (
                    " ".join(self.command()), self.log()[-2000:]))
            time.sleep(FIRST_REPLY_PAUSE_S)
        return time.monotonic() - begun

    def answers(self, wanted):
        try:
            return self.ask(self.port, wanted) == 0
        except (OSError, struct.error):
            return False

    def log(self):
        return pathlib.Path(self.directory, "log").read_text(errors="replace")

    def rss_kb(self):
        status = pathlib.Path("/proc/%d/status" % self.process.pid).read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status).group(1))

    def cpu_s(self):
        """CPU time since it was started; in steps of 10 ms."""
        fields = pathlib.Path("/proc/%d/stat" % self.process.pid).read_text().rsplit(")", 1)[1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop_process(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def restart(self, wanted="/"):
        self.stop_process()
        return self.start(wanted)

    def stop(self):
        self.stop_process(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def snapshot(self):
        """The newest snapshot's file, or None."""
        files = [file for file in pathlib.Path(self.directory).glob(self.snapshots)
                 if file.stat().st_size > 0]
        return max(files, key=lambda file: file.stat().st_mtime_ns, default=None)


class ZooKeeper(Server):
    """One that reads zoo.cfg."""
    snapshots = "data/version-2/snapshot.*"

    def __init__(self, parent=None, snap_count=100000000):
        self.snap_count = snap_count
        super().__init__(parent)

    def prepare(self):
        self.configuration = self.directory + "/zoo.cfg"
        os.makedirs(self.directory + "/data", exist_ok=True)
        pathlib.Path(self.configuration).write_text(
            "dataDir=%s/data\nclientPort=%d\nclientPortAddress=127.0.0.1\ntickTime=2000\n"
            "maxSessionTimeout=600000\nmaxClientCnxns=0\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=*\nsnapCount=%d\n"
            % (self.directory, self.port, self.snap_count))

    def make_snapshot(self, load):
        """Lets the server take one by its own rule, count of transactions, since neither has a
        command for it. `load` makes some. Gives the file."""
        before = self.snapshot()
        self.snap_count = 1000
        self.prepare()
        self.restart()
        load()
        self.snap_count = 100000000
        self.prepare()
        deadline = time.monotonic() + 120
        while self.snapshot() == before or self.is_growing(self.snapshot()):
            if time.monotonic() > deadline:
                sys.exit("no snapshot:\n" + self.log()[-2000:])
        return self.snapshot()

    @staticmethod
    def is_growing(file):
        size = file.stat().st_size
        time.sleep(0.5)
        return file.stat().st_size != size


class Apache(ZooKeeper):
    """forceSync=no keeps the log but does not wait for the disk."""

    def __init__(self, parent=None, force_sync=True, heap_mb=512, **options):
        self.force_sync = force_sync
        self.heap_mb = heap_mb
        super().__init__(parent, **options)

    def command(self):
        return ["java", "-cp", "/usr/share/java/zookeeper.jar", "-Xms%dm" % min(512, self.heap_mb),
                "-Xmx%dm" % self.heap_mb,
                "-Dzookeeper.forceSync=" + ("yes" if self.force_sync else "no"),
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.configuration]


class Zklua(ZooKeeper):
    def __init__(self, build, parent=None, **options):
        self.binary = str(pathlib.Path(build).resolve() / "zklua")
        super().__init__(parent, **options)

    def command(self):
        return [self.binary, "server", self.configuration]


class Redis(Server):
    """durable: a write is answered when it is on the disk, as ZooKeeper does."""
    protocol = "redis"
    ask = staticmethod(ask_redis)
    snapshots = "dump.rdb"

    def __init__(self, parent=None, durable=True):
        self.durable = durable
        super().__init__(parent)

    def command(self):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir",
                self.directory, "--save", "", "--maxclients", "12000", "--appendonly",
                "yes" if self.durable else "no", "--appendfsync", "always"]

    def make_snapshot(self, load):
        with socket.create_connection(("127.0.0.1", self.port), SAVE_TIMEOUT_S) as connection:
            connection.sendall(b"SAVE\r\n")
            if not connection.recv(100).startswith(b"+OK"):
                sys.exit("redis cannot save")
        return self.snapshot()


def written_in_s(file):
    """From a file's birth to its last change: how long it took to write."""
    born, changed = run(["stat", "-c", "%.W %.Y", file]).split()
    return float(changed) - float(born)
