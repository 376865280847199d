# What nodes and pods use, and sizes that follow it.
check "a Deployment that works, and one to be sized by it" kubectl apply -f - <<EOF
apiVersion: v1
kind: Namespace
metadata: {name: scaling}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy, namespace: scaling}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: main, image: hostd.dev/example:latest, imagePullPolicy: IfNotPresent, command: [sh, -c, "while :; do :; done"], resources: {requests: {cpu: 10m}, limits: {cpu: 50m}}}
      - {name: idle, image: hostd.dev/example:latest, imagePullPolicy: IfNotPresent, command: [sleep, "1000"], resources: {requests: {cpu: 10m}}}
EOF
in_scaling() { kubectl -n scaling "$@"; }
check "it runs" in_scaling rollout status deployment/busy --timeout=180s
equal "the API of metrics is there" "NodeMetrics PodMetrics" bash -c "kubectl get --raw /apis/metrics.k8s.io/v1beta1 | tr ',{}' '\n' | sed -n 's/\"kind\":\"\(.*Metrics\)\"/\1/p' | xargs"
eventually "kubectl top node" 10 contains '^[^ ]+ +[0-9]+m +[0-9]+% +[0-9]+Mi +[0-9]+%' kubectl top node
eventually "kubectl top pod" 30 contains '^busy[^ ]* +[1-9][0-9]*m +[0-9]+Mi' in_scaling top pod
eventually "kubectl top pod --containers" 30 contains '^busy[^ ]* +main +[1-9][0-9]*m +[0-9]+Mi' in_scaling top pod --containers
check "of pods with a label" contains '^busy' in_scaling top pod -l app=busy
check "of another label" contains "No resources found" in_scaling top pod -l app=none
check "as columns" contains 'WINDOW' in_scaling get pods.metrics.k8s.io
check "explained" contains "average in that time" kubectl explain nodemetrics.usage --api-version=metrics.k8s.io/v1beta1
check "a pod may be asked for by name" bash -c "kubectl get --raw /apis/metrics.k8s.io/v1beta1/namespaces/scaling/pods/$(in_scaling get pods -o 'jsonpath={.items[0].metadata.name}')"
refuse "one that is not there is not found" NotFound kubectl get --raw /apis/metrics.k8s.io/v1beta1/namespaces/scaling/pods/none

check "an autoscaler" kubectl apply -f - <<EOF
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy, namespace: scaling}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  minReplicas: 1
  maxReplicas: 2
  metrics: [{type: ContainerResource, containerResource: {name: cpu, container: main, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
EOF
check "one for what does not exist" in_scaling autoscale deployment busy --name=lost --max=3 --cpu-percent=50
check "which points elsewhere" in_scaling patch hpa lost --type=merge -p '{"spec":{"scaleTargetRef":{"name":"lost"}}}'
hpa_condition() { in_scaling get hpa "$1" -o "jsonpath={.status.conditions[?(@.type=='$2')].reason}"; }
eventually "says so" 20 is FailedGetScale hpa_condition lost AbleToScale
scaled() { in_scaling get deployment busy -o 'jsonpath={.spec.replicas}'; }
eventually "the Deployment grows" 40 is 2 scaled
eventually "the autoscaler says why" 20 contains "SucceededRescale|ReadyForNewScale" hpa_condition busy AbleToScale
eventually "as an event" 20 contains "New size: 2; reason: cpu container resource utilization" in_scaling get events --field-selector involvedObject.name=busy
check "it is shown" contains "busy +Deployment/busy +.*/50%" in_scaling get hpa busy
check "its bounds come down" in_scaling patch hpa busy --type=merge -p '{"spec":{"maxReplicas":1}}'
eventually "and the Deployment with them" 20 is 1 scaled
check "nothing is left" kubectl delete namespace scaling --timeout=180s
