# An isolated scheduler crashes again and again: its pods are bound once it is back, and are told while it is not. One that is
# killed from outside is back at once.
scheduler_process() { pgrep -P "$hostd_pid" -f 'hostd-plugin-process' | head -n 1; }
has_process() { [ -n "$(scheduler_process)" ]; }
runs() { is Running kubectl get pod "$1" -o 'jsonpath={.status.phase}'; }
has_none() { ! has_process; }
activations() { grep -c 'plugin scheduler is active' "$work/hostd.log"; }
# kills SIGNAL COUNT: waits each time until a process is active, and sends it the signal. One that is killed before has never
# worked, which counts as a crash of its own.
kills() {
    local count pid seen known end=$((SECONDS + 120))
    known=$(($(activations) - 1))
    for ((count = 0; count < $2 && SECONDS < end; )); do
        pid=$(scheduler_process) seen=$(activations)
        if [ -n "$pid" ] && [ "$seen" -gt "$known" ] && kill "-$1" "$pid" 2>/dev/null; then
            count=$((count + 1)) known=$seen
        fi
        read -rt 0.05 <> <(:) || true
    done
    [ "$count" = "$2" ] || { echo "$count of $2 signals in 120 s"; return 1; }
}
waiting_pod() {
    kubectl apply -f - <<EOF
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1", "labels": {"case": "crash"}}, "spec": {"terminationGracePeriodSeconds": 0,
 "containers": [{"name": "main", "image": "hostd.dev/example:latest", "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1000"]}]}}
EOF
}
isolate() { sed -i 's/^  - name: scheduler$/&\n    isolation: process/' "$work/hostd.yaml" && "$hostd" reload; }
share() { sed -i '/^  - name: scheduler$/{n;/isolation: process/d}' "$work/hostd.yaml" && "$hostd" reload; }

check "the scheduler moves to a process of its own" isolate
eventually "which is there" 5 has_process
check "a pod arrives" waiting_pod crash-before
eventually "and is bound" 10 runs crash-before
check "the process is killed from outside six times" kills KILL 6
check "a pod arrives" waiting_pod crash-killed
eventually "and is bound, for the process is back at once" 5 runs crash-killed
check "the process crashes seven times" kills SEGV 7
check "a pod arrives while it is away" waiting_pod crash-during
eventually "it is told that the scheduler does not answer" 10 contains 'the scheduler does not answer' \
    kubectl get pod crash-during -o 'jsonpath={.status.conditions[?(@.type=="PodScheduled")]}'
eventually "in an event too" 10 contains 'the scheduler does not answer' kubectl events --for pod/crash-during
eventually "it runs once the scheduler is back" 30 runs crash-during
check "hostd's own process again" share
eventually "without a process" 10 has_none
check "a pod arrives after all" waiting_pod crash-after
eventually "and is bound" 10 runs crash-after
kubectl delete pods -l case=crash --force --grace-period=0 >/dev/null 2>&1
