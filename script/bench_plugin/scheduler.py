"""Scheduler swaps under load: every pod is bound, exactly once, and without a pause."""
import itertools
import json
import re
import resource
import subprocess
import sys
import time

from .load import Load, Standstills, processor

CONFIG = """
store:
  history: {{size: 1Mi}}
plugins:
  - name: api
  - name: controllers
  - name: scheduler
    isolation: {isolation}
"""
SWAPS = 100
SWAP_INTERVAL = 0.25


def swap(hostd, library):
    """Milliseconds for which calls were held."""
    answer = subprocess.run([hostd.binary, "plugin", "swap", "hostd.scheduler/1", "--to", library, "--data", hostd.data],
                            capture_output=True, text=True)
    if answer.returncode != 0:
        sys.exit(f"swap to {library}: {answer.stderr or answer.stdout}")
    return int(re.search(r"calls held for (\d+)", answer.stdout).group(1)) / 1000


def check(names, sight, hostd):
    """Ends the run when the promise was broken."""
    lost = set(names) - sight.bound
    events = json.loads(hostd.kubectl("get", "events", "-A", "-o", "json"))["items"]
    failed = [event["message"] for event in events
              if event["reason"] == "FailedScheduling" and "nodes are available" not in event["message"]
              and "does not answer" not in event["message"]]
    for what, found in (("lost", lost), ("bound twice", sight.twice), ("overfull nodes", sight.overfull),
                        ("failed bindings", failed)):
        if found:
            sys.exit(f"{len(found)} {what}: {list(found)[:5]}")


def gaps(times):
    """Milliseconds between what happened at these times, greatest first."""
    times = sorted(times)
    return sorted((1000 * (later - earlier) for earlier, later in zip(times, times[1:])), reverse=True)


def longest(times, count=5):
    """Beginning and end of the longest times in which nothing happened."""
    times = sorted(times)
    return sorted(zip(times, times[1:]), key=lambda pair: pair[0] - pair[1])[:count]


def overlap(begin, end, still):
    """Seconds of a span in which one processor at least stood still."""
    covered, at = 0, begin
    for since, until in sorted(still):
        since, until = max(since, at), min(until, end)
        if until > since:
            covered, at = covered + until - since, until
    return covered


class Half:
    """One half of the run: which bindings are of it, and what processors did meanwhile."""

    def __init__(self, hostd, load):
        self.hostd, self.load = hostd, load
        self.began, self.first, self.before = time.monotonic(), load.count.value, self.used()

    def used(self):
        """Seconds of a processor: hostd's, the load's, those of commands that have ended."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return processor(self.hostd.process.pid), self.load.processor(), children.ru_utime + children.ru_stime

    def end(self):
        self.seconds, self.last = time.monotonic() - self.began, self.load.count.value
        self.processors = [after - before for before, after in zip(self.before, self.used())]

    def costs(self):
        """Milliseconds of hostd for one pod, and percents of a processor that hostd, the load and the commands used."""
        shares = [f"{100 * used / self.seconds:.0f}" for used in self.processors]
        return f"{1000 * self.processors[0] / (self.last - self.first):.2f}", ", ".join(shares)


def measure(bench):
    hostd = bench.hostd("scheduler-swap", CONFIG.format(isolation="shared"))
    hostd.start()
    machine = Standstills()
    with Load(hostd.tls_context) as load:
        quiet = Half(hostd, load)
        time.sleep(SWAPS * SWAP_INTERVAL)
        quiet.end()
        swapped, took, held = Half(hostd, load), [], []
        for library in itertools.islice(itertools.cycle(["scheduler-binpack", "scheduler"]), SWAPS):
            began = time.monotonic()
            held.append(swap(hostd, library))
            took.append(time.monotonic() - began)
            time.sleep(max(0, SWAP_INTERVAL - took[-1]))
        swapped.end()
        names, sight = load.finish(30)
    still = machine.end()
    check(names, sight, hostd)
    hostd.stop()
    undisturbed, disturbed = (gaps(sight.times[half.first:half.last]) for half in (quiet, swapped))
    bound = sight.times[swapped.first:swapped.last]
    rate = (len(bound) - 1) / (bound[-1] - bound[0])
    bench.line("pods bound a second while schedulers are swapped", f"{rate:.0f}", "pods/s", ">= 500")
    bench.line(f"{SWAPS} scheduler swaps: pods lost, bound twice", "0, 0", "pods", "0, 0")
    bench.line("the same: longest gap between bindings", f"{disturbed[0]:.1f}", "ms", "<= 20")
    bench.line("as long without swaps: longest gap", f"{undisturbed[0]:.1f}", "ms")
    bench.line("the five longest with swaps, without", "; ".join(
        ", ".join(f"{gap:.1f}" for gap in found[:5]) for found in (disturbed, undisturbed)), "ms")
    for half, what in ((swapped, "with swaps"), (quiet, "without")):
        of_one, shares = half.costs()
        came, bound = sight.came[half.first:half.last], sight.times[half.first:half.last]
        waits = sorted(1000 * (at - before) for before, at in zip(came, bound))
        bench.line(f"{what}: five longest times that a processor of the machine stood still",
                   ", ".join(f"{1000 * length:.1f}" for length in sorted(
                       (until - since for since, until in still if bound[0] <= since <= bound[-1]), reverse=True)[:5]), "ms")
        bench.line(f"{what}: the longest gaps, of each so much in which one stood still", "; ".join(
            f"{1000 * (end - begin):.1f}, {1000 * overlap(begin, end, still):.1f}" for begin, end in longest(bound)), "ms")
        bench.line(f"{what}: longest gap between arrivals of pods", f"{gaps(came)[0]:.1f}", "ms")
        bench.line(f"{what}: from arrival to binding, median, p99, most",
                   ", ".join(f"{waits[place]:.1f}" for place in (len(waits) // 2, len(waits) * 99 // 100, -1)), "ms")
        bench.line(f"{what}: hostd's processor time for a pod, from create to gone", of_one, "ms")
        bench.line(f"{what}: used by hostd, the load, the swap commands", shares, "% of one")
    bench.line("the same: calls held by a swap, median, most", f"{sorted(held)[SWAPS // 2]:.1f}, {max(held):.1f}", "ms")
    bench.line("hostd plugin swap, median", f"{sorted(took)[SWAPS // 2] * 1000:.0f}", "ms")
