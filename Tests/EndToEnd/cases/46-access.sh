# A hostd whose API keeps an audit log and knows bootstrap tokens, as kubectl and the log's file show it.
access=$work/access
mkdir -p "$access"
cat >"$access/policy.yaml" <<'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: RequestResponse
    verbs: [create, delete]
    resources: [{resources: [configmaps]}]
  - level: Metadata
    resources: [{resources: [secrets, pods]}]
YAML
cat >"$access/hostd.yaml" <<YAML
settings:
  nodeName: access
  listen: 127.0.0.1:7461
  cgroupParent: $group
plugins:
  - name: api
    options:
      audit:
        policyFile: $access/policy.yaml
        path: $access/audit.log
        mode: blocking
YAML
mkfifo "$access/ready"
"$hostd" run --config "$access/hostd.yaml" --data "$access/data" >"$access/ready" 2>>"$work/hostd.log" &
access_pid=$!
read -rt 120 _ <"$access/ready" || echo "the hostd with an audit log did not become ready" >&2
admin() { kubectl --kubeconfig "$access/data/admin.kubeconfig" "$@"; }
bootstrap() { admin --user bootstrap "$@"; }
# events FILTER: how many events of the log it selects.
events() { jq -s "[.[] | select($1)] | length" "$access/audit.log"; }
create_token() {
    admin create secret generic bootstrap-token-abcdef -n kube-system --type bootstrap.kubernetes.io/token \
        --from-literal=token-id=abcdef --from-literal=token-secret=0123456789abcdef \
        --from-literal=usage-bootstrap-authentication=true "$@"
}

check "a secret of a bootstrap token" create_token
check "a user with its token" admin config set-credentials bootstrap --token=abcdef.0123456789abcdef
refuse "who is known, and may not" 'User "system:bootstrap:abcdef" cannot list resource "pods"' bootstrap get pods
check "what everybody may" bootstrap get --raw /version
check "may after a role is bound" admin create clusterrolebinding boot --clusterrole view --group system:bootstrappers
eventually "to its group" 5 bootstrap get pods
check "the token ends" admin delete secret -n kube-system bootstrap-token-abcdef
refuse "with its secret" '[Uu]nauthorized|must be logged in' bootstrap get pods

openssl req -new -newkey rsa:2048 -nodes -keyout "$access/eve.key" -subj /O=people/CN=eve -out "$access/eve.csr" 2>/dev/null
check "a request for a client's certificate" admin create -f - <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: eve}
spec:
  request: $(base64 -w0 "$access/eve.csr")
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
YAML
check "its approval" admin certificate approve eve
issued() { admin get csr eve | grep -q 'Approved,Issued'; }
eventually "it is signed" 5 issued
admin get csr eve -o 'jsonpath={.status.certificate}' | base64 -d >"$access/eve.crt"
check "a user with it" admin config set-credentials eve --client-certificate="$access/eve.crt" \
    --client-key="$access/eve.key" --embed-certs=true
refuse "who is known, and may not" 'User "eve" cannot list resource "pods"' admin --user eve get pods

check "a config map" admin create configmap audited --from-literal=k=v
check "its end" admin delete configmap audited
equal "the creation is written with both objects" 1 events \
    '.verb == "create" and .objectRef.name == "audited" and .requestObject.data.k == "v"
        and .responseObject.metadata.uid != null and .responseObject.metadata.managedFields == null'
equal "and the deletion" 1 events '.verb == "delete" and .objectRef.name == "audited" and .responseStatus.code == 200'
equal "the secret without its content" 1 events \
    '.verb == "create" and .objectRef.resource == "secrets" and .requestObject == null and .responseStatus.code == 201'
check "the refusal" test "$(events '.user.username == "system:bootstrap:abcdef" and .responseStatus.code == 403
        and .annotations["authorization.k8s.io/decision"] == "forbid"')" -ge 1
equal "nothing that no rule is about" 0 events '.requestURI == "/version"'

equal "levels that every server has" "catch-all exempt" admin get prioritylevelconfigurations exempt catch-all \
    -o 'jsonpath={.items[1].metadata.name} {.items[0].metadata.name}'
check "a schema that is deleted" admin delete flowschema catch-all
eventually "comes back" 5 admin get flowschema catch-all

kill -TERM "$access_pid"
wait "$access_pid" && status=0 || status=$?
equal "it ends in good order" 0 echo "$status"
check "and each line of the log is whole" jq -e .auditID "$access/audit.log"
