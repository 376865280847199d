# Schedulers are swapped while pods arrive. Nodes without a kubelet take them: they are bound and stay there.
scheduler_library() { "$hostd" plugin list --output json | python3 -c '
import json, os, sys
for plugin in json.load(sys.stdin)["plugins"]:
    if plugin["name"] == "scheduler": print(os.path.basename(plugin["path"]))'; }
bare_node() {
    kubectl apply -f - <<EOF
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "$1", "labels": {"case": "swap", "kubernetes.io/hostname": "$1"}}}
EOF
    kubectl patch node "$1" --subresource=status --type=merge -p "$(node_status "$2")"
}
# A node's last word is from the future: nobody renews it, and it is to hold until the case is over.
node_status() {
    printf '{"status": {"allocatable": {"cpu": "%s", "memory": "8Gi", "pods": "40", "ephemeral-storage": "10Gi"}, "conditions": [{"type": "Ready", "status": "True", "reason": "Case", "message": "", "lastHeartbeatTime": "%s", "lastTransitionTime": "%s"}]}}' \
        "$1" "$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
}
# bare_pods PREFIX COUNT CPU: pods that only those nodes can take.
bare_pods() {
    local index
    for ((index = 1; index <= $2; index++)); do
        cat <<EOF
---
apiVersion: v1
kind: Pod
metadata: {name: $1-$index, labels: {case: swap, group: $1}}
spec:
  nodeSelector: {case: swap}
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: hostd.dev/example:latest, imagePullPolicy: IfNotPresent, resources: {requests: {cpu: $3}}}]
EOF
    done | kubectl apply -f - >/dev/null
}
places() { kubectl get pods -l "group=$1" -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort | uniq -c | awk '{print $2 "=" $1}' | paste -sd ' '; }
all_bound() { local bound; bound=$(kubectl get pods -l "group=$1" -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep -c .); [ "$bound" = "$2" ] || { echo "$bound of $2 are bound"; return 1; }; }
pending_reason() { kubectl get pod "$1" -o 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}'; }
scheduled_events() { kubectl get events --field-selector "reason=Scheduled" -o 'jsonpath={range .items[*]}{.involvedObject.name}{"\n"}{end}' | grep "^$1-" | sort | uniq -c | awk '$1 != 1' ; }
swap() { "$hostd" plugin swap hostd.scheduler/1 --to "$@"; }

for name in swap-a swap-b swap-c; do check "a bare node $name" bare_node "$name" 1; done
refuse "a scheduler that is not there" 'absent' swap absent
check "swap to scheduler-binpack" contains 'scheduler-binpack' swap scheduler-binpack
equal "the list names it" scheduler-binpack.so scheduler_library
check "pods arrive" bare_pods packed 4 200m
eventually "they are bound" 10 all_bound packed 4
equal "it packs" "swap-a=4" places packed
check "a pod that fits nowhere" bare_pods big 1 3
words='0/4 nodes are available: 1 node\(s\) didn.t match Pod.s node affinity/selector, 3 Insufficient cpu'
eventually "why it waits is told" 10 contains "$words" pending_reason big-1
eventually "and in an event" 10 contains "$words" kubectl events --for pod/big-1
check "swap back" swap scheduler
equal "the list names the default scheduler" scheduler.so scheduler_library
check "pods arrive again" bare_pods spread 4 200m
eventually "they are bound by it" 10 all_bound spread 4
check "it spreads, and knows what the other placed" contains '^swap-b=2 swap-c=2$' places spread
check "the reason is the same" contains "$words" pending_reason big-1
check "a node grows" kubectl patch node swap-b --subresource=status --type=merge -p "$(node_status 5)"
eventually "the pod that waited through the swap goes there" 15 all_bound big 1

(bare_pods flood-a 20 10m; bare_pods flood-b 20 10m) &
flood=$!
swaps_back_and_forth() { local to; for to in scheduler-binpack scheduler scheduler-binpack scheduler scheduler-binpack scheduler; do swap "$to" || return 1; done; }
check "six swaps while forty pods arrive" swaps_back_and_forth
wait "$flood"
eventually "all of the first are bound" 15 all_bound flood-a 20
eventually "all of the second are bound" 15 all_bound flood-b 20
equal "each exactly once" "" scheduled_events flood-a
equal "of the second too" "" scheduled_events flood-b

printf 'no library\n' >"$work/broken.so"
refuse "a swap to what is no plugin fails" 'broken\.so' swap "$work/broken.so"
refuse "a swap with options out of range fails" 'packing' swap scheduler-binpack --options '{"packing": 1000}'
equal "and changes nothing" scheduler.so scheduler_library
check "pods arrive after it" bare_pods after 1 10m
eventually "and are bound" 10 all_bound after 1
check "swap with options" swap scheduler-binpack --options '{"resources": [{"name": "memory"}]}'
check "roll back" "$hostd" plugin rollback hostd.scheduler/1
equal "the former scheduler is back" scheduler.so scheduler_library

check "swap without the state" swap scheduler-binpack --discard-state
# swap-a has at most 200 thousandths left, swap-c 600, and swap-b between 1200 and 1600.
check "what is told anew is not forgotten" bare_pods heavy 6 900m
check_heavy() { local bound; bound=$(kubectl get pods -l group=heavy -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep -c swap-b); [ "$bound" = 1 ] && is "swap-b=1" places_bound heavy; }
places_bound() { places "$1" | tr ' ' '\n' | grep '^swap' | paste -sd ' '; }
eventually "only the node that grew has room for one" 10 check_heavy
eventually "the others are told why" 10 contains 'Insufficient cpu' pending_reason heavy-6
check "back to the default" swap scheduler
kubectl delete pods -l case=swap --force --grace-period=0 >/dev/null 2>&1
kubectl delete nodes -l case=swap >/dev/null
