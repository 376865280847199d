"""Requests a second over TLS, by wrk: reads, lists, durable creates, server-side apply of what is there already."""
import json

MAPS = "/api/v1/namespaces/default/configmaps"
LIST = "/api/v1/namespaces/listed/configmaps"
WEB = "/apis/apps/v1/namespaces/default/deployments/web"


def measure(bench):
    hostd = bench.hostd("api-requests")
    hostd.start()
    hostd.wait_for_default()
    connection = hostd.connect()
    hostd.request(connection, "POST", MAPS, config_map("one", 2900))
    report(bench, hostd, "GET of a 3 KB ConfigMap, 32 connections", MAPS + "/one", 32, ">= 25000")

    hostd.request(connection, "POST", "/api/v1/namespaces",
                  {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "listed"}})
    for number in range(500):
        hostd.request(connection, "POST", LIST, config_map(f"map-{number}", 900))
    report(bench, hostd, "LIST of 500 ConfigMaps of 1.3 KB, 8 connections", LIST, 8, ">= 1000")

    body = json.dumps(deployment())
    apply = f'''
wrk.method = "PATCH"
wrk.body = {lua(body)}
wrk.headers["Content-Type"] = "application/apply-patch+yaml"
'''
    path = WEB + "?fieldManager=bench"
    hostd.request(connection, "PATCH", path, deployment(), "application/apply-patch+yaml")
    report(bench, hostd, f"apply of an unchanged Deployment of {len(body)} B, 16 conn.", path, 16, ">= 5000", apply)
    report(bench, hostd, "durable create of a 1 KB ConfigMap, 32 connections", MAPS, 32, ">= 15000", CREATE)
    hostd.stop()


def report(bench, hostd, name, path, connections, bar, script=None):
    rate, p99 = hostd.wrk(path, connections, script)
    bench.line(name, f"{rate:.0f}", "req/s", bar)
    bench.line("… p99", p99, "")


def config_map(name, size):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "x" * size}}


def deployment():
    """About 4 KB, without replicas: nothing is to run."""
    labels = {"app.kubernetes.io/name": "web", "app.kubernetes.io/part-of": "bench"}
    containers = [
        {"name": f"part-{number}", "image": "registry.example/part:1.2.3",
         "env": [{"name": f"SETTING_{index}", "value": f"value of the setting {index}"} for index in range(10)],
         "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
         "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
         "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
         "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        for number in range(4)]
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels},
                              "spec": {"containers": containers, "volumes": [{"name": "data", "emptyDir": {}}]}}},
    }


def lua(text):
    """A Lua string."""
    return "[==[" + text + "]==]"


CREATE = '''
local thread_number = 0
function setup(thread) thread:set("id", thread_number) thread_number = thread_number + 1 end
function init(args) count = 0 math.randomseed(os.time() + id) salt = math.random(1000000000) text = string.rep("x", 850) end
function request()
  count = count + 1
  return wrk.format("POST", nil, {["Content-Type"] = "application/json", ["Authorization"] = wrk.headers["Authorization"]},
    string.format('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c-%d-%d-%d"},"data":{"text":"%s"}}', id, salt, count, text))
end
'''
