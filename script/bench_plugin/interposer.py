"""Calls of a plugin in the host's process through the interposer, beside the same calls through the bare table."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def measure(bench):
    build = ["swift", "build", "-c", "release", "--product", "InterposerBenchmark"]
    subprocess.run(build, cwd=ROOT, check=True, stdout=sys.stderr)
    place = subprocess.run([*build[:4], "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    answer = subprocess.run([os.path.join(place, "InterposerBenchmark")], check=True, capture_output=True, text=True)
    for text in answer.stdout.splitlines():
        bench.line(*text.split("\t"))
