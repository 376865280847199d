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
check "the Job completes" kubectl wait --for=condition=complete job/counts --timeout=180s
equal "all three completions" 3 jsonpath job counts '{.status.succeeded}'
eventually "a Job that fails and expires is removed" 30 refuse_quietly kubectl get job fails
check "the StatefulSet rolls out" kubectl rollout status statefulset/ordered --timeout=180s
check "the DaemonSet rolls out" kubectl rollout status daemonset/everywhere --timeout=180s
equal "pods are numbered" "ordered-0 ordered-1" kubectl get pods -l app=ordered -o 'jsonpath={.items[*].metadata.name}'
check "delete the first one" kubectl delete pod ordered-0
check "it comes back" kubectl rollout status statefulset/ordered --timeout=180s
eventually "with its data" 10 is $'ordered-0\nordered-0' kubectl exec ordered-0 -- cat /data/names
check "a claim asks for more" kubectl patch pvc data-ordered-0 -p '{"spec":{"resources":{"requests":{"storage":"3Mi"}}}}'
eventually "and gets it" 20 is 3Mi jsonpath pvc data-ordered-0 '{.status.capacity.storage}'
check "a claim asks for more than there is" kubectl patch pvc data-ordered-0 -p '{"spec":{"resources":{"requests":{"storage":"900000Gi"}}}}'
eventually "and is told why it gets none" 20 contains ControllerResizeError jsonpath pvc data-ordered-0 '{.status.conditions}'
check "it asks for less" kubectl patch pvc data-ordered-0 -p '{"spec":{"resources":{"requests":{"storage":"4Mi"}}}}'
eventually "gets that" 20 is 4Mi jsonpath pvc data-ordered-0 '{.status.capacity.storage}'
eventually "and nothing is said any more" 10 is '' jsonpath pvc data-ordered-0 '{.status.conditions}'
check "delete one of its claims" kubectl delete pvc data-ordered-1 --wait=false
eventually "a claim in use stays" 10 contains Terminating kubectl get pvc data-ordered-1
check "update the DaemonSet" kubectl set env daemonset/everywhere A=b
check "it rolls out again" kubectl rollout status daemonset/everywhere --timeout=180s
check "and goes back" kubectl rollout undo daemonset/everywhere
check "to what it was" kubectl rollout status daemonset/everywhere --timeout=180s
check "delete them" kubectl delete statefulset/ordered daemonset/everywhere job/counts service/ordered --timeout=180s
eventually "their pods go with them" 30 is '' kubectl get pods -l 'app in (ordered,everywhere)' -o name
eventually "the deleted claim goes when no pod uses it" 20 refuse_quietly kubectl get pvc data-ordered-1
made=$(jsonpath pvc data-ordered-0 '{.spec.volumeName}')
check "its volume is to go first" kubectl delete pv "$made" --wait=false
check "a claim outlives its set" kubectl delete pvc data-ordered-0 --timeout=180s
eventually "then the volume goes" 20 refuse_quietly kubectl get pv "$made"
eventually "with what was in it" 10 is 0 sh -c "find '$data' -type d -name '$made' | wc -l"

mkdir -p "$work/by-hand"
check "a volume made by hand, a claim for it, and one of another class" kubectl apply -f - <<EOF
apiVersion: v1
kind: PersistentVolume
metadata: {name: by-hand}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOncePod]
  storageClassName: by-hand
  hostPath: {path: $work/by-hand, type: Directory}
  claimRef: {namespace: default, name: meant}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: meant}
spec: {accessModes: [ReadWriteOncePod], storageClassName: another, resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: other}
spec: {accessModes: [ReadWriteOncePod], storageClassName: by-hand, resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, $busy, command: [sleep, "1000"], volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: meant}}]
EOF
check "the pod gets the volume" kubectl wait pod/writer --for=condition=Ready --timeout=180s
equal "which is meant for its claim, whatever the class" by-hand jsonpath pvc meant '{.spec.volumeName}'
equal "the other claim waits" Pending jsonpath pvc other '{.status.phase}'
check "a second pod asks for the same volume" kubectl run second --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --overrides='{"spec":{"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"meant"}}]}}'
eventually "and waits: it is for one pod alone" 10 contains 'ReadWriteOncePod access mode' jsonpath pod second '{.status.conditions}'
check "the first one goes" kubectl delete pod writer
check "the second one runs" kubectl wait pod/second --for=condition=Ready --timeout=180s
check "delete it and its claim" kubectl delete pod/second pvc/meant --grace-period=0 --force --timeout=180s
eventually "the volume keeps its data" 10 is Released jsonpath pv by-hand '{.status.phase}'
check "and is offered again" kubectl patch pv by-hand --type=json -p '[{"op":"remove","path":"/spec/claimRef"}]'
eventually "to whoever waits for it" 10 is by-hand jsonpath pvc other '{.spec.volumeName}'
check "delete both" kubectl delete pvc/other pv/by-hand --timeout=180s

check "an owner" kubectl create deployment owned --image=hostd.dev/example:latest --replicas=2
check "rolls out" kubectl rollout status deployment/owned --timeout=180s
check "is deleted without its ReplicaSet" kubectl delete deployment owned --cascade=orphan
eventually "which stays" 10 is 2 kubectl get replicasets -l app=owned -o 'jsonpath={.items[*].status.readyReplicas}'
equal "without an owner" '' kubectl get replicasets -l app=owned -o 'jsonpath={.items[*].metadata.ownerReferences}'
check "the ReplicaSet goes in the foreground" kubectl delete replicasets -l app=owned --cascade=foreground --timeout=180s
equal "after its pods" '' kubectl get pods -l app=owned -o name
