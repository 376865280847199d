# What controllers promise beyond Deployments: ordered pods, daemons, jobs, ownership, volumes.
refuse_quietly() { ! "$@" >/dev/null 2>&1; }
busy='image: hostd.dev/example:latest, imagePullPolicy: IfNotPresent'
check "a StatefulSet, a DaemonSet and Jobs" kubectl apply -f - <<EOF
apiVersion: v1
kind: Service
metadata: {name: ordered}
spec: {clusterIP: None, selector: {app: ordered}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ordered}
spec:
  serviceName: ordered
  replicas: 2
  selector: {matchLabels: {app: ordered}}
  template:
    metadata: {labels: {app: ordered}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, $busy, command: [sh, -c, "hostname >>/data/names; sleep 1000"], volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, $busy, command: [sleep, "1000"]}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: counts}
spec:
  completions: 3
  parallelism: 2
  template: {spec: {restartPolicy: Never, containers: [{name: main, $busy, command: [echo, done]}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: fails}
spec:
  backoffLimit: 0
  ttlSecondsAfterFinished: 1
  template: {spec: {restartPolicy: Never, containers: [{name: main, $busy, command: [sh, -c, "exit 3"]}]}}
EOF
check "the Job completes" kubectl wait --for=condition=complete job/counts --timeout=60s
equal "all three completions" 3 jsonpath job counts '{.status.succeeded}'
eventually "a Job that fails and expires is removed" 30 refuse_quietly kubectl get job fails
check "the StatefulSet rolls out" kubectl rollout status statefulset/ordered --timeout=60s
check "the DaemonSet rolls out" kubectl rollout status daemonset/everywhere --timeout=60s
equal "pods are numbered" "ordered-0 ordered-1" kubectl get pods -l app=ordered -o 'jsonpath={.items[*].metadata.name}'
check "delete the first one" kubectl delete pod ordered-0
check "it comes back" kubectl rollout status statefulset/ordered --timeout=60s
equal "with its data" $'ordered-0\nordered-0' kubectl exec ordered-0 -- cat /data/names
check "a claim asks for more" kubectl patch pvc data-ordered-0 -p '{"spec":{"resources":{"requests":{"storage":"3Mi"}}}}'
eventually "and gets it" 20 is 3Mi jsonpath pvc data-ordered-0 '{.status.capacity.storage}'
check "delete one of its claims" kubectl delete pvc data-ordered-1 --wait=false
eventually "a claim in use stays" 10 contains Terminating kubectl get pvc data-ordered-1
check "update the DaemonSet" kubectl set env daemonset/everywhere A=b
check "it rolls out again" kubectl rollout status daemonset/everywhere --timeout=60s
check "and goes back" kubectl rollout undo daemonset/everywhere
check "to what it was" kubectl rollout status daemonset/everywhere --timeout=60s
check "delete them" kubectl delete statefulset/ordered daemonset/everywhere job/counts service/ordered --timeout=60s
eventually "their pods go with them" 30 is '' kubectl get pods -l 'app in (ordered,everywhere)' -o name
eventually "the deleted claim goes when no pod uses it" 20 refuse_quietly kubectl get pvc data-ordered-1
check "a claim outlives its set" kubectl delete pvc data-ordered-0 --timeout=30s

check "an owner" kubectl create deployment owned --image=hostd.dev/example:latest --replicas=2
check "rolls out" kubectl rollout status deployment/owned --timeout=60s
check "is deleted without its ReplicaSet" kubectl delete deployment owned --cascade=orphan
eventually "which stays" 10 is 2 kubectl get replicasets -l app=owned -o 'jsonpath={.items[*].status.readyReplicas}'
equal "without an owner" '' kubectl get replicasets -l app=owned -o 'jsonpath={.items[*].metadata.ownerReferences}'
check "the ReplicaSet goes in the foreground" kubectl delete replicasets -l app=owned --cascade=foreground --timeout=60s
equal "after its pods" '' kubectl get pods -l app=owned -o name
