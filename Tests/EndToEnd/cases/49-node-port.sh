# A node's own port, as metrics servers, Prometheus and people with curl use a kubelet's.
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: seen}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo said by the pod; exec sleep 1000"]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: scraper}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: scraper}
rules: [{apiGroups: [""], resources: [nodes/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: scraper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: scraper}
subjects: [{kind: ServiceAccount, name: scraper, namespace: default}]
YAML
check "the pod to be seen runs" kubectl wait --for=condition=Ready pod/seen --timeout=180s
node=$(kubectl get nodes -o 'jsonpath={.items[0].metadata.name}')
address=$(kubectl get node "$node" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')
address=${address%% *}
port=$(kubectl get node "$node" -o 'jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}')
pki=$data/pki
# dial PATH OPTION…: by the node's address, with its certificate verified.
dial() { local path=$1; shift; curl -sS --max-time 20 --cacert "$pki/ca.crt" "$@" "https://$address:$port$path"; }
admin() { local path=$1; shift; dial "$path" --cert "$pki/admin.crt" --key "$pki/admin.key" "$@"; }
code=(-o "$work/answer" -w '%{http_code}')
equal "nobody is let in without a name" 401 dial /metrics "${code[@]}"
equal "not even to its health" Unauthorized dial /healthz
equal "a client certificate counts" ok admin /healthz
token=$(kubectl create token scraper)
scrape() { local path=$1; shift; dial "$path" -H "Authorization: Bearer $token" "$@"; }
equal "so does a service account's token" 200 scrape /metrics/resource "${code[@]}"
check "figures for a metrics server" contains 'pod_memory_working_set_bytes[{]namespace="default",pod="seen"[}]' cat "$work/answer"
equal "which may see no more" "Forbidden (user=system:serviceaccount:default:scraper, verb=get, resource=nodes, subresource(s)=[pods proxy])" scrape /pods
check "its pods" contains '"name": *"seen"' admin /pods
equal "a container's log" "said by the pod" admin /containerLogs/default/seen/main
equal "of none" 'container "none" not found in pod "seen"' admin /containerLogs/default/seen/none
equal "a command in a container" hello admin "/run/default/seen/main?cmd=echo+hello" -X POST
check "one that fails" contains "command 'false' exited with 1" admin "/run/default/seen/main?cmd=false" -X POST
equal "exec needs an upgrade" "Upgrade request required" admin "/exec/default/seen/main?command=true&output=1" -X POST
equal "an upgrade" 101 admin "/exec/default/seen/main?command=true&output=1" "${code[@]}" --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
    -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' -H 'Sec-WebSocket-Protocol: v5.channel.k8s.io'
equal "the same door through the API" "said by the pod" kubectl get --raw "/api/v1/nodes/$node:$port/proxy/containerLogs/default/seen/main"
kubectl delete pod/seen serviceaccount/scraper clusterrole/scraper clusterrolebinding/scraper --wait=false >/dev/null
