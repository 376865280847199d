# Requests that go on to pods, services and nodes, kubectl proxy, and an API group that a server of its own answers for.
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: proxied, labels: {app: proxied}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
    command: [sh, -c, "mkdir -p /tmp/www/dir && echo from the pod > /tmp/www/index.html && head -c 3000000 /dev/urandom > /tmp/www/big && exec httpd -f -p 8080 -h /tmp/www"]
---
apiVersion: v1
kind: Service
metadata: {name: proxied}
spec: {selector: {app: proxied}, ports: [{name: http, port: 80, targetPort: 8080}]}
YAML
check "the pod to be proxied to is ready" kubectl wait --for=condition=Ready pod/proxied --timeout=180s
default=/api/v1/namespaces/default
raw() { kubectl get --raw "$@"; }
equal "a pod, at its first port" "from the pod" raw $default/pods/proxied/proxy/
equal "a pod, by port and file" "from the pod" raw $default/pods/proxied:8080/proxy/index.html
wanted=$(kubectl exec proxied -- sha256sum /tmp/www/big | cut -d' ' -f1)
equal "3 MB from a pod" "$wanted" sh -c "kubectl get --raw $default/pods/proxied/proxy/big | sha256sum | cut -d' ' -f1"
equal "a service, by the name of its port" "from the pod" raw $default/services/proxied:http/proxy/
equal "a service, by its number" "from the pod" raw $default/services/http:proxied:80/proxy/
refuse "a port that nobody listens on" "error trying to reach service: dial tcp .*:9: " raw $default/pods/proxied:9/proxy/
refuse "a service without such a port" "no endpoints available for service \"proxied:none\"" raw $default/services/proxied:none/proxy/
refuse "the pod's own 404" "could not find the requested resource|404|not found" raw $default/pods/proxied/proxy/nothing

node=$(kubectl get nodes -o 'jsonpath={.items[0].metadata.name}')
equal "a node's health" ok raw "/api/v1/nodes/$node/proxy/healthz"
check "a node's pods" contains '"name": *"proxied"' raw "/api/v1/nodes/$node/proxy/pods"
check "a node's metrics" contains '^kubelet_running_pods ' raw "/api/v1/nodes/$node/proxy/metrics"
check "a node's statistics" contains '"podRef"' raw "/api/v1/nodes/$node/proxy/stats/summary"
refuse "a path that it does not have" "could not find the requested resource|serves no path" raw "/api/v1/nodes/$node/proxy/run"
refuse "a node that is not there" "not found" raw /api/v1/nodes/nowhere/proxy/healthz

mkfifo "$work/proxy"
kubectl proxy --port=0 >"$work/proxy" 2>"$work/proxy.err" &
proxy=$!
exec {proxies}<"$work/proxy"
if read -rt 120 -u "$proxies" line; then
    local=http://${line##* }
    equal "kubectl proxy" "from the pod" curl -s --max-time 20 "$local$default/pods/proxied/proxy/"
    equal "a redirect leads back through the proxy" "$local$default/pods/proxied/proxy/dir/" \
        curl -s --max-time 20 -o "$work/redirect" -w '%{redirect_url}' "$local$default/pods/proxied/proxy/dir"
    equal "so does the bare subresource" "$local$default/pods/proxied/proxy/" \
        curl -s --max-time 20 -o "$work/redirect" -w '%{redirect_url}' "$local$default/pods/proxied/proxy"
    check "objects" contains '"kind": *"Pod"' curl -s --max-time 20 "$local$default/pods/proxied"
else
    fail_check "kubectl proxy" "$(cat "$work/proxy.err")"
fi
kill "$proxy" 2>/dev/null || true
wait "$proxy" 2>/dev/null || true
exec {proxies}<&-

check "the server's own groups have APIServices" contains 'v1\.apps +Local +True' kubectl get apiservices
# A small API server that trusts hostd's certificate and its word for who asks.
cat >"$work/toys.py" <<'PYTHON'
import http.server, json, ssl, sys

ROOT = "/apis/toys.example.com/v1"
KINDS = [{"name": "toys", "singularName": "toy", "namespaced": True, "kind": "Toy", "verbs": ["get", "list"]}]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        subject = dict(entry[0] for entry in self.connection.getpeercert()["subject"])
        path = self.path.split("?")[0].rstrip("/")
        toy = {"apiVersion": "toys.example.com/v1", "kind": "Toy", "metadata": {"name": "bear", "namespace": "default"},
               "spec": {"user": self.headers["X-Remote-User"], "proxy": subject["commonName"]}}
        if path == ROOT:
            answer = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "toys.example.com/v1", "resources": KINDS}
        elif path == ROOT + "/namespaces/default/toys":
            answer = {"apiVersion": "toys.example.com/v1", "kind": "ToyList", "metadata": {}, "items": [toy]}
        elif path == ROOT + "/namespaces/default/toys/bear":
            answer = toy
        else:
            return self.send_error(404)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=sys.argv[2])
context.verify_mode = ssl.CERT_REQUIRED
context.load_cert_chain(sys.argv[3], sys.argv[4])
server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
address=$(kubectl get endpointslice kubernetes -o 'jsonpath={.endpoints[0].addresses[0]}')
kubectl get configmap -n kube-system extension-apiserver-authentication -o 'jsonpath={.data.requestheader-client-ca-file}' >"$work/front-proxy.crt"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=toys -addext subjectAltName=DNS:toys.default.svc \
    -keyout "$work/toys.key" -out "$work/toys.crt" 2>"$work/openssl.log"
mkfifo "$work/toys"
python3 "$work/toys.py" "$address" "$work/front-proxy.crt" "$work/toys.crt" "$work/toys.key" >"$work/toys" 2>"$work/toys.err" &
toys=$!
exec {toy}<"$work/toys"
read -rt 120 -u "$toy" port || fail_check "the server of toys" "$(cat "$work/toys.err")"
toys() {
    cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: toys}
spec: {ports: [{name: https, port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: toys-1, labels: {kubernetes.io/service-name: toys}}
addressType: IPv4
endpoints: [{addresses: ["$address"], conditions: {ready: true}}]
ports: [{name: https, port: $port}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.toys.example.com}
spec:
  group: toys.example.com
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 10
  service: {namespace: default, name: toys}
  caBundle: $(base64 -w0 "$work/toys.crt")
YAML
}
toys | kubectl apply -f - >/dev/null
check "an aggregated API becomes available" kubectl wait --for=condition=Available apiservice/v1.toys.example.com --timeout=180s
check "api-resources lists it" contains 'toys +toys.example.com/v1 +true +Toy' kubectl api-resources --api-group=toys.example.com
equal "its objects are listed" toy.toys.example.com/bear kubectl get toys -o name
equal "it hears who asks, from whom it trusts" "kubernetes-admin front-proxy-client" jsonpath toys bear '{.spec.user} {.spec.proxy}'
equal "also of whom the admin stands for" "ann front-proxy-client" kubectl get toys bear --as=ann --as-group=system:masters -o 'jsonpath={.spec.user} {.spec.proxy}'
refuse "who may not does not get there" 'cannot get resource "toys"' kubectl get toys bear --as=bob
kill "$toys"
wait "$toys" 2>/dev/null || true
exec {toy}<&-
refuse "a server that is gone is unavailable" "ServiceUnavailable|unavailable|unable to handle|trying to reach service" raw /apis/toys.example.com/v1/namespaces/default/toys
kubectl delete apiservice/v1.toys.example.com service/toys endpointslice/toys-1 pod/proxied service/proxied --wait=false >/dev/null
