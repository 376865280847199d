# Server-side apply with an unmodified kubectl.
manifest() {
    cat <<EOF
apiVersion: apps/v1
kind: Deployment
metadata: {name: applied, labels: {by: "$1"}}
spec:
  replicas: $2
  selector: {matchLabels: {app: applied}}
  template:
    metadata: {labels: {app: applied}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent}]
EOF
}
apply_as() { manifest "$2" "$3" | kubectl apply --server-side --field-manager="$1" -f - "${@:4}"; }
check "apply creates" apply_as team first 1
check "it runs" kubectl rollout status deployment/applied --timeout=180s
equal "the applier owns what it gave" '{}' kubectl get deployment applied --show-managed-fields \
    -o jsonpath='{.metadata.managedFields[?(@.manager=="team")].fieldsV1.f:spec.f:replicas}'
version=$(jsonpath deployment applied '{.metadata.generation}')
check "apply again" apply_as team first 1
equal "changes nothing" "$version" jsonpath deployment applied '{.metadata.generation}'
check "somebody else scales" kubectl scale deployment applied --replicas=2
refuse "applying the old number is a conflict" 'conflict with .*: \.spec\.replicas' apply_as team first 1
check "unless forced" apply_as team first 1 --force-conflicts
equal "then it counts" 1 jsonpath deployment applied '{.spec.replicas}'
refuse "another applier's label is a conflict, too" 'Apply failed with 1 conflict.*\.metadata\.labels\.by' apply_as other second 1
check "dry run" apply_as team third 3 --dry-run=server
equal "writes nothing" first jsonpath deployment applied '{.metadata.labels.by}'
diff_of() { manifest first 4 | kubectl diff --server-side --field-manager=team -f -; }
refuse "diff shows what would change" 'replicas: 4' diff_of
refuse "an unknown field is refused" 'field not declared in schema' \
    sh -c "printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\nboth: 1\n' | kubectl apply --server-side --validate=false -f -"
check "from client-side apply" sh -c "printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: moved}\ndata: {a: \"1\", b: \"1\"}\n' | kubectl apply -f -"
check "to server-side apply" sh -c "printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: moved}\ndata: {a: \"2\"}\n' | kubectl apply --server-side -f -"
equal "what is given counts, and what is not given any more has gone" '{"a":"2"}' jsonpath configmap moved '{.data}'
check "clean up" kubectl delete deployment/applied configmap/moved
