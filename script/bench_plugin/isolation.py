"""Calls of a plugin in a process of its own, beside gRPC between two processes; the process's size."""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def measure(bench):
    if subprocess.run(["pkg-config", "--exists", "grpc++"]).returncode != 0:
        sys.exit("gRPC is not there to be compared with: install Debian's libgrpc++-dev")
    with tempfile.TemporaryDirectory(prefix="hostd-bench-") as work:
        subprocess.run([os.path.join(ROOT, "Benchmarks", "Isolation", "build"), work], check=True, stdout=sys.stderr)
        programs = [os.path.join(work, name) for name in ("isolation-benchmark", "hostd-plugin-process", "echo.so", "hello.so")]
        answer = subprocess.run(programs, check=True, capture_output=True, text=True)
    for text in answer.stdout.splitlines():
        bench.line(*text.split("\t"))
