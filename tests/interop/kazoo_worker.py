#!/usr/bin/python3
"""kazoo_worker.py SERVERS NAME LOG STOP: what `worker.lua kazoo_lock` does, with kazoo."""
import os
import sys
import time

from kazoo.client import KazooClient


def main():
    servers, name, log_name, stop_name = sys.argv[1:]
    log_file = open(log_name, "a", buffering=1)

    def log(*words):
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
        log_file.write("%.6f %s %s\n" % (seconds, name, " ".join(str(word) for word in words)))

    client = KazooClient(servers, timeout=10)
    client.start()
    lock = client.Lock("/lock", name)
    while not os.path.exists(stop_name):
        with lock:
            log("begin", "kazoo")
            count = int(client.get("/count")[0])
            client.set("/count", b"%d" % (count + 1))
            log("counted", count + 1)
            log("end", "kazoo", "true")
    client.stop()
    log("finished")


main()
