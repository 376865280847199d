# A drain that a disruption budget slows down, and one that it stops.
node=$(kubectl get nodes -o 'jsonpath={.items[0].metadata.name}')
budget() { jsonpath pdb guarded '{.status.expectedPods} {.status.currentHealthy} {.status.desiredHealthy} {.status.disruptionsAllowed}'; }
drain() { kubectl drain "$node" --pod-selector=app=guarded --timeout="$1"; }
check "a Deployment whose pods come back on a cordoned node" kubectl apply -f - <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: guarded}
spec:
  replicas: 2
  selector: {matchLabels: {app: guarded}}
  template:
    metadata: {labels: {app: guarded}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists}]
      containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sleep, "1000"]}]
YAML
check "a budget that lets none of its pods go" kubectl create pdb guarded --selector=app=guarded --min-available=100%
check "it runs" kubectl rollout status deployment/guarded --timeout=180s
eventually "the budget counts the pods" 20 is '2 2 2 0' budget
equal "and says that there are not enough" 'False InsufficientPods' \
    jsonpath pdb guarded '{.status.conditions[?(@.type=="DisruptionAllowed")].status} {.status.conditions[?(@.type=="DisruptionAllowed")].reason}'
before=$(kubectl get pods -l app=guarded -o 'jsonpath={.items[*].metadata.name}')
refuse "a drain is stopped by it" "violate the pod's disruption budget" drain 4s
equal "no pod has gone" "$before" kubectl get pods -l app=guarded -o 'jsonpath={.items[*].metadata.name}'
check "the budget is changed: one may be missing" kubectl patch pdb guarded --type=merge -p '{"spec":{"minAvailable":null,"maxUnavailable":1}}'
eventually "one may go" 20 is '2 2 1 1' budget
check "a drain takes one pod after the other" drain 180s
none_left() { for pod in $before; do refuse_pod "$pod" || return 1; done; }
refuse_pod() { ! kubectl get pod "$1" >/dev/null 2>&1; }
check "all are gone" none_left
eventually "and others have come" 20 is '2 2 1 1' budget
eventually "no eviction is open" 10 is '' jsonpath pdb guarded '{.status.disruptedPods}'
check "the node takes pods again" kubectl uncordon "$node"
check "scaled up" kubectl scale deployment guarded --replicas=3
eventually "more must stay" 20 is '3 3 2 1' budget
check "a budget for pods without a controller" kubectl run alone --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --labels=app=alone --restart=Never -- sleep 1000
check "of all but one" kubectl create pdb alone --selector=app=alone --max-unavailable=1
eventually "says that it cannot count them" 20 contains 'UnmanagedPods' kubectl get events --field-selector involvedObject.name=alone
check "clean up" kubectl delete pdb/guarded pdb/alone deployment/guarded pod/alone --grace-period=0 --force
