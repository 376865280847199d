"""Memory of the API over a full cluster's objects, and the time from a fresh start until it answers."""
import concurrent.futures
import shutil
import statistics

CONFIG = """
store:
  history: {size: 1Mi}
plugins:
  - name: api
"""
NODES, PODS = 5000, 10000


def measure(bench):
    hostd = bench.hostd("api-memory", CONFIG)
    hostd.start()
    hostd.wait_for_default()
    empty = bench.resident(hostd.process.pid)
    create(hostd, NODES, "/api/v1/nodes", node)
    create(hostd, PODS, "/api/v1/namespaces/default/pods", pod)
    bench.line("memory of the API, 10,000 pods and 5,000 nodes", f"{bench.resident(hostd.process.pid) / 1024:.0f}", "MB", "<= 150")
    bench.line("… and without any", f"{empty / 1024:.0f}", "MB")
    hostd.stop()
    ready(bench)


def ready(bench):
    times = []
    for number in range(5):
        hostd = bench.hostd(f"api-start-{number}")
        began = bench.now()
        hostd.start()
        connection = hostd.connect_when_there()
        connection.request("GET", "/readyz")
        while connection.getresponse().read() != b"ok":
            connection.request("GET", "/readyz")
        times.append(bench.now() - began)
        hostd.stop()
        shutil.rmtree(hostd.data, ignore_errors=True)
    bench.line("fresh start to /readyz, median of 5", f"{statistics.median(times):.3f}", "s", "<= 0.3")


def create(hostd, count, path, make):
    def run(first):
        connection = hostd.connect()
        for number in range(first, count, 4):
            hostd.request(connection, "POST", path, make(number))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))  # What one of them raised is raised here.
    stored = hostd.request(hostd.connect(), "GET", path + "?limit=1")
    stored = len(stored["items"]) + stored["metadata"].get("remainingItemCount", 0)
    assert stored >= count, f"{path} has {stored} objects instead of {count}"


def node(number):
    name = f"node-{number}"
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                                              "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": f"z{number % 3}"}},
        "spec": {"podCIDR": f"10.{number // 250}.{number % 250}.0/24"},
        "status": {"capacity": {"cpu": "32", "memory": "256Gi", "pods": "110"},
                   "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
    }


def pod(number):
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"pod-{number}", "labels": {"app": f"app-{number % 100}", "pod-template-hash": "5f6d7"}},
        "spec": {"nodeName": f"node-{number % NODES}",
                 "containers": [{"name": "main", "image": "registry.example/app:1.0",
                                 "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                                 "env": [{"name": f"NAME_{index}", "value": f"value {index}"} for index in range(6)]}]},
    }
