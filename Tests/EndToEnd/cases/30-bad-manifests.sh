# Manifests that name what is not there: each ends in a clear state that names the thing.
bad() {
    kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: ${3:-hostd.dev/example:latest}
    imagePullPolicy: IfNotPresent
    $2
EOF
}
waiting() { jsonpath pod "$1" '{.status.containerStatuses[0].state.waiting.reason}'; }
check "a pod with a missing ConfigMap" bad bad-configmap 'env: [{name: A, valueFrom: {configMapKeyRef: {name: absent, key: k}}}]'
check "a pod with a missing image" bad bad-image "" registry.invalid/absent:1
check "a pod with a missing command" bad bad-command 'command: [/bin/absent]'
check "a pod with a missing claim" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: bad-claim}
spec:
  containers: [{name: main, image: hostd.dev/example:latest}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: absent}}]
EOF
eventually "missing ConfigMap: CreateContainerConfigError" 30 is CreateContainerConfigError waiting bad-configmap
eventually "and its name" 30 contains 'absent' jsonpath pod bad-configmap '{.status.containerStatuses[0].state.waiting.message}'
eventually "missing image: ErrImagePull" 30 contains 'ErrImagePull|ImagePullBackOff' waiting bad-image
eventually "missing command: its name is told" 30 contains '/bin/absent' kubectl get pod bad-command -o yaml
eventually "missing claim: FailedScheduling names it" 30 contains 'persistentvolumeclaim "absent" not found' kubectl get events --field-selector involvedObject.name=bad-claim
check "the missing ConfigMap appears" kubectl create configmap absent --from-literal=k=v
eventually "and the pod runs" 60 is Running jsonpath pod bad-configmap '{.status.phase}'
refuse "an unknown field is refused" 'unknown field "spec.containers\[0\].imagee"' kubectl create --validate=strict -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: bad-field}
spec: {containers: [{name: main, imagee: x, image: busybox}]}
EOF
refuse "a bad name is refused" 'Invalid value: "Bad_Name"' kubectl create configmap Bad_Name
refuse "a missing field is refused" 'spec.containers\[0\].name: Required value' kubectl create --validate=false -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: no-name}
spec: {containers: [{image: busybox}]}
EOF
check "delete them" kubectl delete pod bad-configmap bad-image bad-command bad-claim --timeout=180s
