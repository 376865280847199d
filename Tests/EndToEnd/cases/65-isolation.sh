# The scheduler in a process of its own, under a real kubectl: moved there while everything runs, killed, and back again.
isolate='s/^  - name: scheduler$/  - name: scheduler\n    isolation: process\n    limits: {memory: 128Mi}/'
cp "$work/hostd.yaml" "$work/shared.yaml"
sed -i "$isolate" "$work/hostd.yaml"
check "reload moves the scheduler into a process" "$hostd" reload
check "plugin list shows it there" contains 'scheduler +[0-9.]+ +active +process +0 ' "$hostd" plugin list

scheduler() { pgrep -P "$hostd_pid" -f 'hostd-plugin-process serve' | head -n 1 || true; }
status_of() { awk -v key="$1:" '$1 == key {print $2}' "/proc/$(scheduler)/status"; }
check "it runs as a user of its own" test "$(status_of Uid)" -ge 1879048192
equal "without capabilities" 0000000000000000 status_of CapEff
equal "nor any that it could get" 0000000000000000 status_of CapBnd
equal "under a filter of system calls" 2 status_of Seccomp
equal "without new privileges" 1 status_of NoNewPrivs
check "in a control group of its own" grep -q "$group/plugin-scheduler-" "/proc/$(scheduler)/cgroup"

deploy() {
    kubectl create deployment "$1" --image=hostd.dev/example:latest --replicas="$2" --dry-run=client -o json |
        sed 's|"image": "hostd.dev/example:latest"|&, "imagePullPolicy": "IfNotPresent"|' | kubectl apply -f -
}
check "a deployment is scheduled by it" deploy isolated 3
check "and runs" kubectl rollout status deployment/isolated --timeout=180s

first=$(scheduler)
kill -KILL "$first"
check "it is killed; more pods are wanted" kubectl scale deployment isolated --replicas=6
check "they are scheduled by the next process" kubectl rollout status deployment/isolated --timeout=180s
eventually "which is another one" 10 sh -c "[ -n '$(scheduler)' ] && [ '$(scheduler)' != '$first' ]"
check "the restart is counted" contains 'scheduler +[0-9.]+ +active +process +1 ' "$hostd" plugin list
check "and its reason is in the log" grep -q 'ended by signal 9 (SIGKILL)' "$work/hostd.log"
equal "every pod has its node" 6 sh -c "kubectl get pods -l app=isolated -o 'jsonpath={range .items[*]}{.spec.nodeName}{\"\n\"}{end}' | grep -c ."
check "hostd is the one it was" kill -0 "$hostd_pid"

check "kill it again" sh -c "kill -KILL \$(pgrep -P $hostd_pid -f 'hostd-plugin-process serve')"
check "scale down" kubectl scale deployment isolated --replicas=1
check "and up" kubectl scale deployment isolated --replicas=4
check "it goes on" kubectl rollout status deployment/isolated --timeout=180s

dns='s/^  - name: dns$/  - name: dns\n    isolation: process\n    callTimeout: 5s/'
sed -i "$dns" "$work/hostd.yaml"
refuse "DNS cannot move into a process without grants, and one is named" 'dns may not use the store: add store\.read to its' "$hostd" reload
check "it stays where it was" contains 'dns +[0-9.]+ +active +shared ' "$hostd" plugin list
granted='grants: [store.read, "events.subscribe:hostd.network", timers, network, "capability:NET_BIND_SERVICE"]'
sed -i "s/^    callTimeout: 5s$/&\n    $granted/" "$work/hostd.yaml"
check "with them it can" "$hostd" reload
check "it is there" contains 'dns +[0-9.]+ +active +process ' "$hostd" plugin list
eventually "and answers pods" 20 kubectl exec deployment/isolated -- nslookup kubernetes.default.svc.cluster.local
check "delete the deployment" kubectl delete deployment isolated --timeout=180s

cp "$work/shared.yaml" "$work/hostd.yaml"
check "reload takes it back into hostd" "$hostd" reload
check "plugin list shows that" contains 'scheduler +[0-9.]+ +active +shared ' "$hostd" plugin list
eventually "its process is gone" 10 is "" scheduler
check "and pods are scheduled" deploy shared 1
check "as before" kubectl rollout status deployment/shared --timeout=180s
check "clean up" kubectl delete deployment shared --timeout=180s
