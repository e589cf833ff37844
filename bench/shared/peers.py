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
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
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


class Server:
    """What the servers below have in common. They say `command()`."""
    protocol = "zookeeper"

    def __init__(self, build, parent=None):
        self.build = pathlib.Path(build).resolve()
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
        reader, writer = os.pipe()
        first = [str(self.build / "bench" / "first"), self.protocol, str(self.port), wanted,
                 str(writer)]
        with open(self.directory + "/log", "ab") as log:
            self.process = subprocess.Popen(first + self.command(), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.directory,
                                            pass_fds=[writer])
        os.close(writer)
        with open(reader) as answer:
            took_ms = answer.read()
        if not took_ms:
            self.stop_process(signal.SIGKILL)
            sys.exit("%s does not start:\n%s" % (" ".join(self.command()), self.log()[-2000:]))
        return float(took_ms) / 1000

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
    unfinished = "data/version-2/.zklua-tmp-snapshot.*"

    def __init__(self, build, parent=None, snap_count=100000000):
        self.snap_count = snap_count
        super().__init__(build, parent)

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
        self.restart_counting(1000)
        load()
        deadline = time.monotonic() + 120
        while self.snapshot() == before or self.is_growing(self.snapshot()):
            if time.monotonic() > deadline:
                sys.exit("no snapshot:\n" + self.log()[-2000:])
        return self.snapshot()

    def restart_counting(self, snap_count, wanted="/"):
        """A snapshot is due after so many transactions, or half of them. The seconds that took."""
        self.snap_count = snap_count
        self.prepare()
        took_s = self.restart(wanted)
        self.snap_count = 100000000
        self.prepare()
        return took_s

    def watch_snapshot(self):
        """Waits for one that the server takes by itself; from when to when, monotonic."""
        before = self.snapshot()
        deadline = time.monotonic() + SAVE_TIMEOUT_S
        begun = None
        while True:
            now = time.monotonic()
            if now > deadline:
                sys.exit("no snapshot:\n" + self.log()[-2000:])
            begins = self.snapshot() != before or any(
                pathlib.Path(self.directory).glob(self.unfinished))
            begun = begun or begins and now
            if self.snapshot() != before and not self.is_growing(self.snapshot()):
                return begun, now
            time.sleep(0.005)

    @staticmethod
    def is_growing(file):
        size = file.stat().st_size
        time.sleep(0.5)
        return file.stat().st_size != size


class Apache(ZooKeeper):
    """forceSync=no keeps the log but does not wait for the disk."""

    def __init__(self, build, parent=None, force_sync=True, heap_mb=512, **options):
        self.force_sync = force_sync
        self.heap_mb = heap_mb
        super().__init__(build, parent, **options)

    def command(self):
        return ["java", "-cp", "/usr/share/java/zookeeper.jar", "-Xms%dm" % min(512, self.heap_mb),
                "-Xmx%dm" % self.heap_mb,
                "-Dzookeeper.forceSync=" + ("yes" if self.force_sync else "no"),
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.configuration]


class Zklua(ZooKeeper):
    def command(self):
        return [str(self.build / "zklua"), "server", self.configuration]


class Redis(Server):
    """durable: a write is answered when it is on the disk, as ZooKeeper does."""
    protocol = "redis"
    snapshots = "dump.rdb"

    def __init__(self, build, parent=None, durable=True):
        self.durable = durable
        super().__init__(build, parent)

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
