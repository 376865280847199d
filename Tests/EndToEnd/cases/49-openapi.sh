# What /openapi serves is valid, and what it describes can be called with anything: no answer is a fault of the server.
python=$(client_python openapi_spec_validator) || { echo "  skipped: no Python with openapi-spec-validator (script/test-clients brings it in)"; return 0; }
documents=$work/openapi
mkdir -p "$documents"
kubectl get --raw /openapi/v2 >"$documents/v2.json"
kubectl get --raw /openapi/v3 | jq -r '.paths | to_entries[] | "\(.key) \(.value.serverRelativeURL)"' |
    while read -r place url; do kubectl get --raw "$url" >"$documents/v3-${place//\//-}.json"; done
count_lines "the documents are checked in time" timeout 480 "$python" "$root/Tests/EndToEnd/clients/openapi.py" "$documents"
if "$python" -c 'import kubernetes' 2>/dev/null; then
    count_lines "the operations are compared" timeout 60 "$python" "$root/Tests/EndToEnd/clients/openapi_operations.py" \
        "$documents/v2.json"
fi

schemathesis=$(dirname "$python")/schemathesis
if [ ! -x "$schemathesis" ]; then
    echo "  skipped: no schemathesis beside $python"
    return 0
fi
# In a namespace of its own and without watches, which would rightly go on until the client's patience ends.
check "a namespace to be tried" kubectl create namespace fuzz
cat >"$work/schemathesis.toml" <<'TOML'
[parameters]
"path.namespace" = "fuzz"
"query.watch" = false
"query.timeoutSeconds" = 1
TOML
base64 -d < <(kubectl config view --raw -o 'jsonpath={.users[0].user.client-certificate-data}') >"$work/fuzz.crt"
base64 -d < <(kubectl config view --raw -o 'jsonpath={.users[0].user.client-key-data}') >"$work/fuzz.key"
base64 -d < <(kubectl config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}') >"$work/fuzz.ca"
# try_anything DOCUMENT PLURALS: a few requests of any kind for each operation on these resources, the same ones each time.
try_anything() {
    (cd "$work" && timeout 240 "$schemathesis" --config-file "$work/schemathesis.toml" run "$documents/$1.json" \
        --url "$(kubectl config view -o 'jsonpath={.clusters[0].cluster.server}')" \
        --request-cert "$work/fuzz.crt" --request-cert-key "$work/fuzz.key" --tls-verify "$work/fuzz.ca" \
        --include-path-regex "/namespaces/\{namespace\}/($2)(/\{name\})?\$" --checks not_a_server_error \
        --request-timeout 60 --phases fuzzing --max-examples 4 --seed 1 --no-shrink --max-failures 3 \
        --suppress-health-check all --generation-database none --no-color)
}
check "anything at config maps and services" try_anything v3-api-v1 'configmaps|services'
check "anything at deployments" try_anything v3-apis-apps-v1 deployments
check "anything at role bindings" try_anything v3-apis-rbac.authorization.k8s.io-v1 rolebindings
check "the server is well" contains 'readyz check passed' kubectl get --raw '/readyz?verbose'
check "it goes away" kubectl delete namespace fuzz --timeout=180s
