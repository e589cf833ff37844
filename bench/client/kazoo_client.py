#!/usr/bin/python3
"""kazoo_client.py PORT OPERATION WINDOW COUNT: kazoo's asynchronous calls, each completion
starting the next request. One caller uses the synchronous call, as programs do."""
import os
import resource
import sys
import threading
import time

from kazoo.client import KazooClient

DATA = bytes(100)
SAMPLE_EVERY = 10


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_kb():
    """From VmHWM: getrusage's maximum also counts the parent's image before exec."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


class Bench:
    def __init__(self, client, root):
        self.client = client
        self.root = root
        self.latencies = []

    def submit(self, operation, index):
        if operation == "get":
            return self.client.get_async(self.root)
        if operation == "set":
            return self.client.set_async(self.root, DATA)
        path = "%s/n%08d" % (self.root, index)
        if operation == "create":
            return self.client.create_async(path, DATA)
        return self.client.delete_async(path)

    def run(self, operation, count, window, timed):
        if window == 1:
            for index in range(count):
                sent = time.monotonic()
                self.submit(operation, index).get()
                if timed:
                    self.latencies.append(time.monotonic() - sent)
            return
        finished = threading.Event()
        # Completions run one at a time on kazoo's callback thread: the counters are its own.
        state = {"sent": window, "done": 0}

        def start(index):
            sent = time.monotonic() if timed and index % SAMPLE_EVERY == 0 else None

            def completed(result):
                result.get_nowait()
                if sent is not None:
                    self.latencies.append(time.monotonic() - sent)
                state["done"] += 1
                if state["sent"] < count:
                    state["sent"] += 1
                    start(state["sent"] - 1)
                elif state["done"] == count:
                    finished.set()

            self.submit(operation, index).rawlink(completed)

        for index in range(window):
            start(index)
        finished.wait()


def main():
    port, operation, window, count = sys.argv[1:]
    window, count = int(window), int(count)
    window = min(window, count)
    client = KazooClient("127.0.0.1:" + port, timeout=30)
    client.start()
    bench = Bench(client, "/bench-kazoo-%d" % os.getpid())
    client.create(bench.root, DATA)
    if operation == "delete":
        bench.run("create", count, min(1000, count), False)
    if operation in ("get", "set"):
        bench.run(operation, max(count // 10, window), window, False)
    started, cpu_started = time.monotonic(), cpu_seconds()
    bench.run(operation, count, window, True)
    seconds, cpu = time.monotonic() - started, cpu_seconds() - cpu_started
    latencies = sorted(bench.latencies)
    print("rate=%.0f p50_us=%.1f p99_us=%.1f cpu_us=%.3f rss_kb=%d" % (
        count / seconds,
        latencies[(len(latencies) - 1) // 2] * 1e6,
        latencies[(len(latencies) - 1) * 99 // 100] * 1e6,
        cpu * 1e6 / count,
        peak_kb()))
    if operation == "create":
        bench.run("delete", count, min(1000, count), False)
    client.stop()


main()
