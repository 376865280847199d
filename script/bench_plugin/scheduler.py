"""Scheduler swaps under load: every pod is bound, exactly once, and without a pause."""
import itertools
import json
import re
import subprocess
import sys
import time

from .load import Load

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
    """Milliseconds between bindings, greatest first."""
    return sorted((1000 * (later - earlier) for earlier, later in zip(times, times[1:])), reverse=True)


def measure(bench):
    hostd = bench.hostd("scheduler-swap", CONFIG.format(isolation="shared"))
    hostd.start()
    with Load(hostd.tls_context) as load:
        quiet = load.count.value
        time.sleep(SWAPS * SWAP_INTERVAL)
        first, took, held = load.count.value, [], []
        for library in itertools.islice(itertools.cycle(["scheduler-binpack", "scheduler"]), SWAPS):
            began = time.monotonic()
            held.append(swap(hostd, library))
            took.append(time.monotonic() - began)
            time.sleep(max(0, SWAP_INTERVAL - took[-1]))
        last = load.count.value
        names, sight = load.finish(30)
    check(names, sight, hostd)
    hostd.stop()
    undisturbed, disturbed = gaps(sight.times[quiet:first]), gaps(sight.times[first:last])
    seconds = sight.times[last - 1] - sight.times[first]
    bench.line("pods bound a second while schedulers are swapped", f"{(last - first) / seconds:.0f}", "pods/s", ">= 500")
    bench.line(f"{SWAPS} scheduler swaps: pods lost, bound twice", "0, 0", "pods", "0, 0")
    bench.line("the same: longest gap between bindings", f"{disturbed[0]:.1f}", "ms", "<= 20")
    bench.line("as long without swaps: longest gap", f"{undisturbed[0]:.1f}", "ms")
    bench.line("the five longest with swaps, without", "; ".join(
        ", ".join(f"{gap:.1f}" for gap in found[:5]) for found in (disturbed, undisturbed)), "ms")
    bench.line("the same: calls held by a swap, median, most", f"{sorted(held)[SWAPS // 2]:.1f}, {max(held):.1f}", "ms")
    bench.line("hostd plugin swap, median", f"{sorted(took)[SWAPS // 2] * 1000:.0f}", "ms")
