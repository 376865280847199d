# The API as other kubectl versions and tools see it.
for client in $(ls "$(dirname "$(readlink -f "$(command -v kubectl)")")"/kubectl.1.* 2>/dev/null); do
    check "$(basename "$client"): logs by label" "$client" logs -l app=web --tail=1
done
check "a config map" kubectl create configmap versions
check "health" contains 'readyz check passed' kubectl get --raw '/readyz?verbose'
check "version" contains 'v1\.36' kubectl version
check "table output" contains 'NAME +READY +STATUS +RESTARTS +AGE' kubectl get pods
check "create a namespace" kubectl create namespace short-lived
eventually "it has its ServiceAccount" 20 kubectl -n short-lived get serviceaccount default
eventually "and the CA" 20 kubectl -n short-lived get configmap kube-root-ca.crt
check "fill it" kubectl -n short-lived create deployment web --image=hostd.dev/example:latest --replicas=2
check "roll it out" kubectl -n short-lived rollout status deployment/web --timeout=180s
check "delete it, with all in it" kubectl delete namespace short-lived --timeout=180s
refuse "it is gone" 'NotFound' kubectl get namespace short-lived
refuse "an old resource version is a conflict" 'the object has been modified' kubectl replace -f - <<EOF
apiVersion: v1
kind: ConfigMap
metadata: {name: versions, namespace: default, resourceVersion: "1"}
EOF
check "a pod that fits nowhere" kubectl create -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: too-big}
spec: {containers: [{name: main, image: hostd.dev/example:latest, resources: {requests: {cpu: "10000"}}}]}
EOF
eventually "says why it is pending" 20 contains '0/1 nodes are available: 1 Insufficient cpu' kubectl get events --field-selector involvedObject.name=too-big
check "delete it" kubectl delete pod too-big

# What clients may ask of the wire, with a client that is not ours.
member() { kubectl config view --raw -o "jsonpath={$1}"; }
server=$(member .clusters[0].cluster.server)
member .clusters[0].cluster.certificate-authority-data | base64 -d > "$work/wire-ca.pem"
member .users[0].user.client-certificate-data | base64 -d > "$work/wire-user.pem"
member .users[0].user.client-key-data | base64 -d > "$work/wire-user.key"
wire() { curl -sS --max-time 20 --cacert "$work/wire-ca.pem" --cert "$work/wire-user.pem" --key "$work/wire-user.key" "$@"; }
check "HTTP/2" contains '^2 200$' wire --http2 -o /dev/null -w '%{http_version} %{http_code}\n' "$server/api/v1/pods"
check "HTTP/1.1" contains '^1.1 200$' wire --http1.1 -o /dev/null -w '%{http_version} %{http_code}\n' "$server/api/v1/pods"
connections() { wire --http2 -o /dev/null -w '%{num_connects}\n' "$server/version?[1-50]" | awk '{sum += $1} END {print sum}'; }
check "fifty requests on one connection" contains '^1$' connections
check "protobuf" contains 'application/vnd.kubernetes.protobuf' \
    wire --http2 -o /dev/null -w '%{content_type}\n' -H 'Accept: application/vnd.kubernetes.protobuf' "$server/api/v1/pods"
check "CBOR is refused" contains '^406$' wire -o /dev/null -w '%{http_code}\n' -H 'Accept: application/cbor' "$server/api/v1/pods"
check "gzip" cmp <(wire --http2 --compressed "$server/openapi/v2") <(wire --http1.1 "$server/openapi/v2")
tag=$(wire -o /dev/null -D - "$server/apis" | sed -n 's/^[Ee][Tt][Aa][Gg]: //p' | tr -d '\r')
check "discovery that is known already" contains '^304$' wire -o /dev/null -w '%{http_code}\n' -H "If-None-Match: $tag" "$server/apis"
