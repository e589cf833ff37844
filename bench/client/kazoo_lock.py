#!/usr/bin/python3
"""kazoo_lock.py PORT COUNT: acquires and releases one free lock, COUNT times."""
import os
import resource
import sys
import time

from kazoo.client import KazooClient


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_kb():
    """From VmHWM: getrusage's maximum also counts the parent's image before exec."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main():
    port, count = sys.argv[1], int(sys.argv[2])
    client = KazooClient("127.0.0.1:" + port, timeout=30)
    client.start()
    lock = client.Lock("/bench-lock-kazoo-%d" % os.getpid(), "bench")
    latencies = []

    def run(rounds):
        for _ in range(rounds):
            begun = time.monotonic()
            lock.acquire()
            lock.release()
            latencies.append(time.monotonic() - begun)

    run(count // 10 + 1)
    latencies.clear()
    started, cpu_started = time.monotonic(), cpu_seconds()
    run(count)
    seconds, cpu = time.monotonic() - started, cpu_seconds() - cpu_started
    latencies.sort()
    print("rate=%.0f p50_us=%.1f p99_us=%.1f cpu_us=%.3f rss_kb=%d" % (
        count / seconds,
        latencies[(count - 1) // 2] * 1e6,
        latencies[(count - 1) * 99 // 100] * 1e6,
        cpu * 1e6 / count,
        peak_kb()))
    client.stop()


main()
