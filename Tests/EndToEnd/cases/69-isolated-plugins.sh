# As many plugins as can work so in processes of their own, at once, under a real workload; and those that cannot say why.
cp "$work/hostd.yaml" "$work/shared.yaml"
# isolate PLUGIN [GRANTS]: edits the configuration.
isolate() { sed -i "s|^  - name: $1\$|&\n    isolation: process\n    grants: [${2:-}]|" "$work/hostd.yaml"; }
# process_of PLUGIN: the process that it runs in.
process_of() {
    local process
    for process in $(pgrep -P "$hostd_pid" -f 'hostd-plugin-process serve' || true); do
        grep -q "/plugin-$1-[0-9]*\$" "/proc/$process/cgroup" && echo "$process"
    done
    return 0
}
is_isolated() { contains "$1 +[0-9.]+ +active +process " "$hostd" plugin list; }
another() { local now; now=$(process_of "$1"); [ -n "$now" ] && [ "$now" != "$2" ]; }

for name in api runtime runtime-oci network storage node; do
    isolate "$name"
    refuse "$name refuses a process of its own, and says why" \
        "plugin $name cannot run in a process of its own: it .*; take .isolation: process. out of its entry" "$hostd" reload
    cp "$work/shared.yaml" "$work/hostd.yaml"
    contains "$name +[0-9.]+ +active +process" "$hostd" plugin list >/dev/null && fail_check "$name stays where it was" "it is in a process"
done

isolate controllers
refuse "the controllers cannot work without grants, and one is named" 'add .* to its `grants`' "$hostd" reload
cp "$work/shared.yaml" "$work/hostd.yaml"
isolate controllers 'store.read, api.read, api.write, timers, reconcile, roles, events, "role:hostd.scheduler/1", "role:hostd.volume/1", "role:hostd.device/1"'
isolate scheduler
isolate dns 'store.read, "events.subscribe:hostd.network", timers, network, "capability:NET_BIND_SERVICE"'
isolate gpu
check "four plugins move into processes of their own" "$hostd" reload
for name in controllers scheduler dns gpu; do check "$name is there" is_isolated "$name"; done
check "controllers say that plugins are not shown as objects" grep -q 'controllers: plugins are not shown as objects' "$work/hostd.log"

workload() {
    kubectl apply -f - <<YAML
apiVersion: v1
kind: Service
metadata: {name: isolated}
spec: {selector: {app: isolated}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: isolated}
spec:
  replicas: ${1:-3}
  selector: {matchLabels: {app: isolated}}
  template:
    metadata: {labels: {app: isolated}}
    spec:
      containers:
        - name: web
          image: hostd.dev/example:latest
          imagePullPolicy: IfNotPresent
---
apiVersion: batch/v1
kind: Job
metadata: {name: isolated}
spec:
  completions: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: done, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: ["true"]}]
YAML
}
check "a service, a deployment and a job" workload 3
check "the deployment runs" kubectl rollout status deployment/isolated --timeout=180s
check "the job is done" kubectl wait --for=condition=complete job/isolated --timeout=180s
eventually "the service has its pods" 20 sh -c '[ "$(kubectl get endpoints isolated -o "jsonpath={.subsets[*].addresses[*].ip}" | wc -w)" = 3 ]'
eventually "and its name is answered" 20 kubectl exec deployment/isolated -- nslookup isolated.default.svc.cluster.local

for name in controllers scheduler dns; do
    before=$(process_of "$name")
    check "$name is killed" kill -KILL "$before"
    eventually "$name is back in another process" 20 another "$name" "$before"
    eventually "and active" 20 is_isolated "$name"
done
check "the workload grows" kubectl scale deployment isolated --replicas=5
check "as before" kubectl rollout status deployment/isolated --timeout=180s
eventually "the service has all of it" 20 sh -c '[ "$(kubectl get endpoints isolated -o "jsonpath={.subsets[*].addresses[*].ip}" | wc -w)" = 5 ]'
eventually "names are answered" 20 kubectl exec deployment/isolated -- nslookup isolated.default.svc.cluster.local
check "hostd is the one it was" kill -0 "$hostd_pid"
check "delete the workload" kubectl delete deployment,job,service isolated --timeout=180s
eventually "its pods go" 60 is "" kubectl get pods -o name

sed -i 's|^  - name: scheduler$|&\n    library: scheduler-binpack|' "$work/hostd.yaml"
check "the scheduler that packs tightly, in the same process of its own" "$hostd" reload
check "it is there" contains 'scheduler +[0-9.]+ +active +process .*' "$hostd" plugin list
check "it schedules" workload 2
check "and what it scheduled runs" kubectl rollout status deployment/isolated --timeout=180s
check "clean up" kubectl delete deployment,job,service isolated --timeout=180s

cp "$work/shared.yaml" "$work/hostd.yaml"
check "all go back into hostd" "$hostd" reload
for name in controllers scheduler dns gpu; do
    check "$name is there" contains "$name +[0-9.]+ +active +shared " "$hostd" plugin list
done
