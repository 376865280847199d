# An operator written with kopf, which brings finalizers, annotations, events and status to custom objects.
python=$(client_python kopf) || { echo "  skipped: no Python with kopf (script/test-clients brings it in)"; return 0; }
cat >"$work/gadgets.yaml" <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: gadgets, kind: Gadget, shortNames: [gd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
EOF
cat >"$work/operator.py" <<'EOF'
import kopf


@kopf.on.create("stable.example.com", "v1", "gadgets")
def create(spec, name, patch, **_):
    patch.status["phase"] = f"made {spec.get('size')}"
    return {"greeting": f"hello {name}"}


@kopf.on.update("stable.example.com", "v1", "gadgets", field="spec.size")
def update(old, new, patch, **_):
    patch.status["phase"] = f"changed from {old} to {new}"


@kopf.on.delete("stable.example.com", "v1", "gadgets")
def delete(name, **_):
    print("GONE", name, flush=True)
EOF
gadget() { printf 'apiVersion: stable.example.com/v1\nkind: Gadget\nmetadata: {name: g}\nspec: {size: %s}\n' "$1" | kubectl apply -f -; }
check "the operator's definition" kubectl apply -f "$work/gadgets.yaml"
"$python" -m kopf run --namespace default --standalone "$work/operator.py" >"$work/operator.log" 2>&1 &
operator=$!
check "an object for it" gadget 3
eventually "the operator sees it and tells so in its status" 30 is 'made 3' jsonpath gd g '{.status.phase}'
equal "with what its handler returns" 'hello g' jsonpath gd g '{.status.create.greeting}'
equal "it keeps a finalizer on it" '["kopf.zalando.org/KopfFinalizerMarker"]' jsonpath gd g '{.metadata.finalizers}'
check "the object changes" gadget 4
eventually "the operator follows" 30 is 'changed from 3 to 4' jsonpath gd g '{.status.phase}'
check "the object is deleted" kubectl delete gd g --timeout=180s
eventually "the operator was told in time" 10 grep -q 'GONE g' "$work/operator.log"
refuse "it met no error" 'nothing' sh -c "grep -iE 'error|traceback' '$work/operator.log' || { echo nothing; exit 1; }"
kill "$operator" 2>/dev/null
wait "$operator" 2>/dev/null || true
check "the definition goes with the operator away" kubectl delete crd gadgets.stable.example.com --timeout=180s
