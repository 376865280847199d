"""Swaps of the network, the default for CNI plugins and back, under connections through a service's address: one half from
the host, the other from a pod. Clients and server are processes that join the pods' network namespaces."""
import json
import os
import statistics
import subprocess
import sys
import time

TRAFFIC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "traffic.py")
SWAPS, CONNECTIONS, CONNECTS = 20, 200, 200
MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: swapped}
spec: {selector: {app: swapped}, ports: [{port: 80, targetPort: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: swapped}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: hostd.dev/example:latest, command: [sleep, "100000"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: hostd.dev/example:latest, command: [sleep, "100000"]}]}
"""


def until(what, condition, limit=60):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"not within {limit} s: {what}")
        time.sleep(0.05)


def namespaces(hostd):
    """The pods' network namespaces by name."""
    place = os.path.join(hostd.data, "pod-network", "attachments")
    records = [json.load(open(os.path.join(place, name))) for name in os.listdir(place) if name.endswith(".json")]
    return {record["podName"]: record["networkNamespace"] for record in records}


def pods_group(hostd):
    """A control group that the pods' programs act in."""
    mount = next(text.split()[1] for text in open("/proc/mounts") if text.split()[2] == "cgroup2")
    group = os.path.join(mount, hostd.group, "bench-client")
    os.makedirs(group, exist_ok=True)
    return group


def start(arguments, greeting, namespace=None, group=None):
    """Starts traffic.py, in a network namespace and a control group."""
    def join():
        if group:
            open(os.path.join(group, "cgroup.procs"), "w").write("0")

    enter = ["nsenter", f"--net={namespace}"] if namespace else []
    process = subprocess.Popen([*enter, sys.executable, TRAFFIC, *map(str, arguments)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, preexec_fn=join)
    line = process.stdout.readline().strip()
    if line != greeting:
        sys.exit(f"traffic.py {arguments} said {line!r}, not {greeting!r}")
    return process


def swap(hostd, name):
    # The built-in network, whatever this machine has configured for others.
    options = ["--options", '{"configurationDirectory":"/nowhere"}'] if name == "cni" else []
    began = time.monotonic()
    answer = subprocess.run([hostd.binary, "plugin", "swap", "hostd.network/1", "--to", name, "--data", hostd.data, *options],
                            capture_output=True, text=True)
    if answer.returncode != 0:
        sys.exit(f"swap to {name}: {answer.stderr or answer.stdout}")
    return time.monotonic() - began


def measure(bench):
    hostd = bench.hostd("network")
    hostd.start()
    hostd.load_image()
    until("a service account", lambda: subprocess.run(
        ["kubectl", "--kubeconfig", hostd.data + "/admin.kubeconfig", "get", "serviceaccount", "default"],
        capture_output=True).returncode == 0)
    hostd.kubectl("apply", "-f", "-", input=MANIFEST)
    hostd.kubectl("wait", "--for=condition=Ready", "pod/server", "pod/client", "--timeout=60s")
    address = hostd.kubectl("get", "service", "swapped", "-o", "jsonpath={.spec.clusterIP}")
    places = namespaces(hostd)
    server = start(["serve", 9000], "listening", places["server"])
    until("endpoints", lambda: hostd.kubectl(
        "get", "endpointslices", "-o", "jsonpath={.items[*].endpoints[*].addresses}").strip())
    ask = ["ask", address, 80, CONNECTIONS // 2, CONNECTS / 2]
    clients = [start(ask, "begun"), start(ask, "begun", places["client"], pods_group(hostd))]
    took, began = [], time.monotonic()
    for number in range(SWAPS):
        took.append(swap(hostd, "network" if number % 2 else "cni"))
        time.sleep(0.5)
    results, seconds = [], time.monotonic() - began
    for client in clients:
        client.stdin.close()
        results.append(json.loads(client.stdout.readline()))
        client.wait(30)
    server.kill()
    hostd.stop()
    report(bench, results, took, seconds)


def report(bench, results, took, seconds):
    def total(key):
        return sum(result[key] if isinstance(result[key], int) else len(result[key]) for result in results)

    for result in results:
        for text in (result["resets"] + result["failures"])[:5]:
            print(text, file=sys.stderr)
    bench.line(f"{SWAPS} network swaps, {CONNECTIONS} connections: reset", total("resets"), "", "0")
    bench.line(f"the same, {total('connects')} new connections: failed", total("failures"), "", "0")
    bench.line("the same, new connections a second", f"{total('connects') / seconds:.0f}", "", f">= {CONNECTS}")
    bench.line("the same, exchanges meanwhile", total("exchanges"), "")
    bench.line("longest exchange on a connection", f"{max(r['longestExchange'] for r in results) * 1000:.1f}", "ms")
    bench.line("longest connect", f"{max(r['longestConnect'] for r in results) * 1000:.1f}", "ms")
    bench.line("a network swap, median of the command", f"{statistics.median(took) * 1000:.0f}", "ms")
