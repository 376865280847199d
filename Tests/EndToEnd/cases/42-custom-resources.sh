# Custom resources with an unmodified kubectl.
definition() {
    cat <<EOF
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string, pattern: '^(\*|\d+)( (\*|\d+)){4}$', description: When it runs.}
              image: {type: string, default: "none:latest"}
              replicas: {type: integer, minimum: 0, maximum: 10, default: 1}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, port: {type: integer}}}
          status: {type: object, properties: {replicas: {type: integer}}}
EOF
}
crontab() { printf 'apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {name: %s}\nspec: %s\n' "$1" "$2"; }
put() { crontab "$1" "$2" | kubectl "${@:3}" -f -; }
define() { definition | kubectl apply -f -; }
check "a definition is applied" define
check "it is established" kubectl wait --for=condition=established --timeout=180s crd/crontabs.stable.example.com
check "api-resources lists it" contains 'crontabs +ct +stable.example.com/v1 +true +CronTab' kubectl api-resources
check "an object is applied" put one '{cronSpec: "* * * * 5"}' apply
equal "with its defaults" 'none:latest 1' jsonpath ct one '{.spec.image} {.spec.replicas}'
check "it is applied again with another value" put one '{cronSpec: "* * * * 5", image: "some:1"}' apply
equal "and has it" some:1 jsonpath ct one '{.spec.image}'
check "explain knows its fields" contains 'When it runs' kubectl explain crontabs.spec.cronSpec
check "get shows its columns" contains '^one +\* \* \* \* 5 +1$' kubectl get crontabs
refuse "a wrong value is refused" 'spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10' \
    put two '{cronSpec: "* * * * 5", replicas: 11}' create --validate=false
refuse "so is a missing one" 'spec.cronSpec: Required value' put two '{replicas: 1}' create --validate=false
refuse "and an unknown field" 'unknown field "spec.nothing"' put two '{cronSpec: "* * * * 5", nothing: 1}' create
check "server-side apply by one" put one '{ports: [{name: a, port: 1}]}' apply --server-side --field-manager=first
check "and by another" put one '{ports: [{name: b, port: 2}]}' apply --server-side --field-manager=second
equal "merges lists by their keys" 'a b' jsonpath ct one '{.spec.ports[*].name}'
check "patch" kubectl patch ct one --type=merge -p '{"spec":{"cronSpec":"1 * * * *"}}'
refuse "a strategic merge patch is refused" 'application/merge-patch' kubectl patch ct one -p '{"spec":{"cronSpec":"1 * * * *"}}' --type=strategic
check "scale" kubectl scale ct one --replicas=4
equal "sets the replicas" 4 jsonpath ct one '{.spec.replicas}'
check "status by its subresource" kubectl patch ct one --subresource=status --type=merge -p '{"status":{"replicas":3}}'
equal "is kept" 3 jsonpath ct one '{.status.replicas}'
check "label and annotate" sh -c 'kubectl label ct one a=b && kubectl annotate ct one c=d'
equal "a selector finds it" crontab.stable.example.com/one kubectl get ct -l a=b -o name
owned() {
    local uid
    uid=$(jsonpath ct one '{.metadata.uid}')
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: owned\n  ownerReferences: [{apiVersion: stable.example.com/v1, kind: CronTab, name: one, uid: %s}]\n' "$uid" | kubectl create -f -
}
check "an object that it owns" owned
check "deleting it" kubectl delete ct one
absent() { refuse "$1" 'not found' kubectl get "${@:2}"; }
eventually "takes that along" 10 sh -c '! kubectl get configmap owned'
check "in a namespace" sh -c "kubectl create namespace custom"
check "an object" put three '{cronSpec: "* * * * *"}' create -n custom
check "goes with it" kubectl delete namespace custom --timeout=180s
absent "is gone" ct three -n custom
check "one more" put four '{cronSpec: "* * * * *"}' create
check "the definition is deleted" kubectl delete crd crontabs.stable.example.com --timeout=180s
refuse "and its kind is unknown" "doesn't have a resource type|could not find the requested resource" kubectl get crontabs
