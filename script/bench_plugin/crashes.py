"""Crashes of an isolated scheduler under load: every pod is bound, exactly once, and hostd's memory stays flat."""
import os
import signal
import time

from .load import Load
from .scheduler import CONFIG, check

KILL_SECONDS = 60
KILL_INTERVAL = 0.2
BACKLOG = 500


def children(parent):
    """Plugin processes of hostd."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            if int(fields[1]) == parent and b"plugin" in open(f"/proc/{pid}/cmdline", "rb").read():
                found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
    return found


def measure(bench):
    hostd = bench.hostd("scheduler-kill", CONFIG.format(isolation="process"))
    hostd.start()
    killed, sizes = 0, []
    # What waits while a process is started is bounded, or memory would show the backlog.
    with Load(hostd.tls_context, backlog=BACKLOG) as load:
        began = time.monotonic()
        while (since := time.monotonic() - began) < KILL_SECONDS:
            for pid in children(hostd.process.pid):
                os.kill(pid, signal.SIGKILL)
                killed += 1
            if since > 5:
                sizes.append(bench.resident(hostd.process.pid))
            time.sleep(KILL_INTERVAL)
        names, sight = load.finish(90)
    check(names, sight, hostd)
    hostd.stop()
    third = len(sizes) // 3
    growth = (max(sizes[-third:]) - max(sizes[:third])) / 1024
    bench.line("isolated scheduler, kill -9 every 200 ms for 60 s", killed, "kills", ">= 200")
    bench.line("the same: pods created, lost, bound twice", f"{len(names)}, 0, 0", "pods", "0 lost or twice")
    bench.line("the same: growth of hostd's RSS, last third", f"{growth:.1f}", "MB", "flat")
