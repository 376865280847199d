"""From a create to its event at one watcher, beside the bare disk and a read: by a compiled client, whose own time is little."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def measure(bench):
    build = ["swift", "build", "-c", "release", "--product", "EventLatencyBenchmark"]
    subprocess.run(build, cwd=ROOT, check=True, stdout=sys.stderr)
    place = subprocess.run([*build[:4], "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    hostd = bench.hostd("api-events")
    hostd.start()
    hostd.wait_for_default()
    hostd.tls_context()
    files = [os.path.join(hostd.work, name + ".pem") for name in ("ca", "cert", "key")]
    answer = subprocess.run([os.path.join(place, "EventLatencyBenchmark"), "6443", *files, hostd.data],
                            check=True, stdout=subprocess.PIPE, text=True)
    for text in answer.stdout.splitlines():
        bench.line(*text.split("\t"))
    hostd.stop()
