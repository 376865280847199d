# Runtimes are swapped under running pods: what runs stays with the runtime that started it, what is new goes to the new
# one, across restarts of hostd and back.
which runc >/dev/null || { echo "runc is missing: script/bootstrap installs it" >&2; exit 1; }
runtime_pod() {
    kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {case: runtime-swap}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo begun; trap 'exit 0' TERM; i=0; while :; do i=\$((i+1)); echo tick \$i; sleep 0.5; done"]
    readinessProbe: {exec: {command: [cat, /etc/hostname]}, periodSeconds: 1, timeoutSeconds: 20}
    livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1}
EOF
}
swap_runtime() { "$hostd" plugin swap hostd.runtime/1 --to "$1"; }
pod_ready() { is True jsonpath pod "$1" '{.status.conditions[?(@.type=="Ready")].status}'; }
container_of() { jsonpath pod "$1" '{.status.containerStatuses[0].containerID}{.status.containerStatuses[0].restartCount}'; }
# Which runtime has a pod's container: what runs below runc has a state of runc's.
maker_of() {
    local id
    id=$(jsonpath pod "$1" '{.status.containerStatuses[0].containerID}')
    id=${id#hostd://}
    if [ -d "$data/plugins/runtime-oci/state/$id" ]; then echo runc; elif [ -d "$data/plugins/runtime/containers/$id" ]; then echo hostd; else echo nobody; fi
}
ticks() { kubectl logs "$1" | grep -c tick; }
goes_on() { local before; before=$(ticks "$1"); eventually "$2" 10 more_ticks "$1" "$before"; }
more_ticks() { [ "$(ticks "$1")" -gt "$2" ]; }
lives() { # POD MAKER ID: the same container as before, reachable in every way.
    equal "$1: the same container, never restarted" "$3" container_of "$1"
    equal "$1: made by $2" "$2" maker_of "$1"
    equal "$1: exec works" "in $1" kubectl exec "$1" -- sh -c 'echo in $(hostname)'
    goes_on "$1" "$1: its log goes on"
    eventually "$1: ready" 10 pod_ready "$1"
}

check "a pod on the default runtime" runtime_pod before
eventually "it is ready" 20 pod_ready before
equal "hostd made it" hostd maker_of before
before=$(container_of before)

check "swap to runc" swap_runtime runtime-oci
lives before hostd "$before"
check "a new pod" runtime_pod after
eventually "it is ready" 30 pod_ready after
equal "runc made it" runc maker_of after
after=$(container_of after)
check "a terminal in it" contains '/dev/pts/' script -qec "kubectl exec -it after -- tty" /dev/null
check "its figures are measured" contains '"after"' kubectl get --raw "/api/v1/nodes/$(kubectl get nodes -o 'jsonpath={.items[0].metadata.name}')/proxy/stats/summary"
check "the images are one store" contains 'hostd.dev/example' "$hostd" image list
check "a container of the old pod ends" kubectl exec before -- kill 1
restarted() { is 1 jsonpath pod before '{.status.containerStatuses[0].restartCount}'; }
eventually "and started again within its pod" 30 restarted
eventually "where it was" 20 pod_ready before
equal "by the runtime that has the pod" hostd maker_of before
before=$(container_of before)

stop_hostd KILL
start_hostd
check "hostd is killed and comes back: both runtimes are active" contains 'runtime-oci .*active' "$hostd" plugin list
eventually "the pods are known again" 20 pod_ready after
lives before hostd "$before"
lives after runc "$after"
check "another pod" runtime_pod third
eventually "it is ready" 30 pod_ready third
equal "the swap outlived the restart" runc maker_of third

check "swap back" swap_runtime runtime
lives after runc "$after"
check "a pod after that" runtime_pod fourth
eventually "it is ready" 20 pod_ready fourth
equal "hostd makes them again" hostd maker_of fourth
stop_hostd TERM
start_hostd
eventually "after another restart" 20 pod_ready after
lives after runc "$after"
lives before hostd "$before"

cp "$build/plugins/runtime.so" "$work/runtime-next.so"
check "a new build of the runtime takes over from itself" swap_runtime "$work/runtime-next.so"
lives before hostd "$before"
lives after runc "$after"
check "and is rolled back" "$hostd" plugin rollback hostd.runtime/1
lives before hostd "$before"

check "pods of both are deleted" kubectl delete pod -l case=runtime-swap --timeout=180s
eventually "runc has none left" 10 is "" ls "$data/plugins/runtime-oci/state"
no_mount() { ! grep "plugins/runtime-oci/containers" /proc/mounts; }
eventually "nor a mount" 10 no_mount
