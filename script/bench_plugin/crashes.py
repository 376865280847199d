"""Crashes of an isolated scheduler: every pod is bound, exactly once, and hostd itself stays as it was.

Under load hostd's memory grows and shrinks with the pods that come and go, so an equally loaded run without kills stands
beside the one with kills; what a restart itself leaves behind is measured without load.
"""
import os
import re
import signal
import sys
import time

from .load import Load
from .scheduler import CONFIG, check

KILL_SECONDS = 60
KILL_INTERVAL = 0.2
BACKLOG = 500
# Without load: so many kills, one every so many seconds, after as many as it takes until what hostd keeps of a process for
# half a minute after its end is as much as it will be.
QUIET_KILLS, FIRST_KILLS, QUIET_INTERVAL = 300, 220, 0.15


def children(parent):
    """Plugin processes of hostd."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            if int(fields[1]) == parent and fields[0] != "Z" and b"plugin" in open(f"/proc/{pid}/cmdline", "rb").read():
                found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
    return found


def kill(hostd):
    """Kills hostd's plugin processes; how many there were."""
    found = children(hostd.process.pid)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def figures(pid):
    """What hostd takes: resident kB, anonymous resident kB, descriptors, threads, mappings."""
    status = open(f"/proc/{pid}/status").read()
    resident, anonymous = (int(re.search(rf"^{key}:\s+(\d+)", status, re.M).group(1)) for key in ("VmRSS", "RssAnon"))
    return (resident, anonymous, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")),
            sum(1 for _ in open(f"/proc/{pid}/maps")))


def measure(bench):
    under_load(bench)
    without_load(bench)


def loaded(bench, name, kills):
    """A minute of load. Pods created, plugin processes killed, and the growth of hostd's RSS in the last third in kB."""
    hostd = bench.hostd(name, CONFIG.format(isolation="process"))
    hostd.start()
    killed, sizes = 0, []
    # What waits while a process is started is bounded, or memory would show the backlog.
    with Load(hostd.tls_context, backlog=BACKLOG) as load:
        began = time.monotonic()
        while (since := time.monotonic() - began) < KILL_SECONDS:
            killed += kill(hostd) if kills else 0
            if since > 5:
                sizes.append(bench.resident(hostd.process.pid))
            time.sleep(KILL_INTERVAL)
        names, sight = load.finish(90)
    check(names, sight, hostd)
    hostd.stop()
    third = len(sizes) // 3
    return len(names), killed, max(sizes[-third:]) - max(sizes[third:-third])


def under_load(bench):
    pods, killed, growth = loaded(bench, "scheduler-kill", True)
    others, _, usual = loaded(bench, "scheduler-alive", False)
    bench.line("isolated scheduler, kill -9 every 200 ms for 60 s", killed, "kills", ">= 200")
    bench.line("the same: pods created, lost, bound twice", f"{pods}, 0, 0", "pods", "0 lost or twice")
    bench.line("the same: growth of hostd's RSS, last third", f"{growth / 1024:.1f}", "MB", "as without kills")
    bench.line(f"without kills, {others} pods: growth of hostd's RSS", f"{usual / 1024:.1f}", "MB")


def without_load(bench):
    hostd = bench.hostd("scheduler-kill-quiet", CONFIG.format(isolation="process"))
    hostd.start()
    log = os.path.join(hostd.work, "log")

    def wait_until_active(times):
        end = time.monotonic() + 60
        while open(log).read().count("plugin scheduler is active") < times:
            if time.monotonic() > end:
                sys.exit(f"the scheduler was not active for the {times}th time in 60 s; see {log}")
            time.sleep(0.005)

    before, began = None, time.monotonic()
    for count in range(1, FIRST_KILLS + QUIET_KILLS + 1):
        wait_until_active(count)
        time.sleep(max(0, began + count * QUIET_INTERVAL - time.monotonic()))
        if count == FIRST_KILLS + 1:
            before = figures(hostd.process.pid)
        if kill(hostd) != 1:
            sys.exit("there is not one process of the scheduler")
    wait_until_active(FIRST_KILLS + QUIET_KILLS + 1)
    # Threads of pools end a moment after their work.
    time.sleep(2)
    after = figures(hostd.process.pid)
    hostd.stop()
    resident, anonymous, files, threads, mappings = (later - earlier for earlier, later in zip(before, after))
    bench.line(f"{QUIET_KILLS} kills without load: growth of hostd's RSS", f"{resident / 1024:.1f}", "MB", "<= 1")
    bench.line("the same: of its anonymous memory, a kill", f"{anonymous / QUIET_KILLS:.2f}", "kB", "flat")
    bench.line("the same: of descriptors, threads, mappings", f"{files}, {threads}, {mappings}", "", "flat")
