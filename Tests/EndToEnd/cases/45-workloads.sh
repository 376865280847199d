# What clients of the workload kinds build upon, request by request: adoption and release, revisions, rules of Jobs.
work_pod='terminationGracePeriodSeconds: 0, containers: [{name: main, image: hostd.dev/example:latest, imagePullPolicy: IfNotPresent'
check "workloads of every kind" kubectl apply -f - <<EOF
apiVersion: v1
kind: Namespace
metadata: {name: workloads}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: classic, namespace: workloads}
spec:
  replicas: 2
  selector: {app: classic}
  template: {metadata: {labels: {app: classic}}, spec: {$work_pod, command: [sleep, "1000"]}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemon, namespace: workloads, labels: {app: daemon}}
spec:
  selector: {matchLabels: {app: daemon}}
  template: {metadata: {labels: {app: daemon}}, spec: {$work_pod, command: [sleep, "1000"]}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: members, namespace: workloads}
spec:
  replicas: 2
  serviceName: members
  selector: {matchLabels: {app: members}}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  template:
    metadata: {labels: {app: members}}
    spec: {$work_pod, command: [sh, -c, "touch /tmp/well; sleep 1000"], readinessProbe: {periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1, exec: {command: [cat, /tmp/well]}}}]}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: indexes, namespace: workloads}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  backoffLimitPerIndex: 0
  template: {spec: {restartPolicy: Never, $work_pod, command: [sh, -c, 'exit \$((JOB_COMPLETION_INDEX == 1))']}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: leader, namespace: workloads}
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  successPolicy: {rules: [{succeededIndexes: "0"}]}
  template: {spec: {restartPolicy: Never, $work_pod, command: [sh, -c, '[ "\$JOB_COMPLETION_INDEX" = 0 ] || sleep 1000']}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: policy, namespace: workloads}
spec:
  podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}
  template: {spec: {restartPolicy: Never, $work_pod, command: [sh, -c, 'exit 42']}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: orphans, namespace: workloads}
spec:
  template: {spec: {restartPolicy: Never, $work_pod, command: [sleep, "1000"]}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: behind, namespace: workloads}
spec:
  backoffLimit: 0
  template: {spec: {restartPolicy: Never, $work_pod, command: [sleep, "1000"]}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: slow, namespace: workloads}
spec:
  backoffLimit: 1
  podReplacementPolicy: Failed
  template: {spec: {restartPolicy: Never, $work_pod, command: [sh, -c, "trap 'while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 1' TERM; while true; do sleep 0.1; done"]}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: holding, namespace: workloads}
spec:
  serviceName: holding
  selector: {matchLabels: {app: holding}}
  template: {metadata: {labels: {app: holding}}, spec: {$work_pod, command: [sleep, "1000"]}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}]
---
apiVersion: v1
kind: Service
metadata: {name: by-hand, namespace: workloads}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: by-hand, namespace: workloads}
subsets: [{addresses: [{ip: 10.9.8.7}], ports: [{port: 8080}]}]
EOF
refuse_quietly() { ! "$@" >/dev/null 2>&1; }
in_work() { kubectl -n workloads "$@"; }
owners_of() { in_work get "$@" -o 'jsonpath={..metadata.ownerReferences[*].kind}'; }

eventually "a ReplicationController's pods run" 30 is 2 in_work get rc classic -o 'jsonpath={.status.readyReplicas}'
check "it is scaled" in_work scale rc classic --replicas=3
eventually "to three" 30 is 3 in_work get rc classic -o 'jsonpath={.status.readyReplicas}'
classic=$(in_work get pods -l app=classic -o 'jsonpath={.items[0].metadata.name}')
check "one of its pods gets another label" in_work label pod "$classic" app=free --overwrite
eventually "and is let go" 20 is "" owners_of pod "$classic"
eventually "another one takes its place" 30 is 3 in_work get rc classic -o 'jsonpath={.status.readyReplicas}'

check "indexes fail alone" in_work wait --for=condition=Failed job/indexes --timeout=180s
equal "the Job says which" "1 0,2 FailedIndexes" in_work get job indexes -o "jsonpath={.status.failedIndexes} {.status.completedIndexes} {.status.conditions[?(@.type=='Failed')].reason}"
check "a successPolicy ends a Job" in_work wait --for=condition=Complete job/leader --timeout=180s
equal "as it says" "SuccessPolicy SuccessPolicy 1" in_work get job leader -o "jsonpath={.status.conditions[?(@.type=='SuccessCriteriaMet')].reason} {.status.conditions[?(@.type=='Complete')].reason} {.status.succeeded}"
check "a podFailurePolicy ends a Job" in_work wait --for=condition=Failed job/policy --timeout=180s
equal "and says why" PodFailurePolicy in_work get job policy -o "jsonpath={.status.conditions[?(@.type=='Failed')].reason}"
eventually "a Job's pod runs" 30 is 1 in_work get job orphans -o 'jsonpath={.status.ready}'
orphan=$(in_work get pods -l job-name=orphans -o 'jsonpath={.items[0].metadata.name}')
check "it loses its owner" in_work patch pod "$orphan" --type=merge -p '{"metadata":{"ownerReferences":null}}'
eventually "and is taken in again" 20 is Job owners_of pod "$orphan"
check "it loses its labels" in_work patch pod "$orphan" --type=merge -p '{"metadata":{"labels":null}}'
eventually "and is let go" 20 is "" owners_of pod "$orphan"

eventually "another Job's pod runs" 30 is 1 in_work get job behind -o 'jsonpath={.status.ready}'
equal "it is tracked until it is counted" batch.kubernetes.io/job-tracking in_work get pods -l job-name=behind -o 'jsonpath={.items[0].metadata.finalizers[*]}'
check "it is deleted behind the Job's back" in_work delete pods -l job-name=behind --force --wait=false
check "and counts as a failure" in_work wait --for=condition=Failed job/behind --timeout=180s
equal "once" "1 BackoffLimitExceeded" in_work get job behind -o "jsonpath={.status.failed} {.status.conditions[?(@.type=='Failed')].reason}"
eventually "then it is gone" 20 is "" in_work get pods -l job-name=behind -o 'jsonpath={.items[*].metadata.name}'

eventually "a pod runs that ends when it is let" 30 is 1 in_work get job slow -o 'jsonpath={.status.ready}'
slow=$(in_work get pods -l job-name=slow -o 'jsonpath={.items[0].metadata.name}')
check "it is deleted" in_work delete pod "$slow" --grace-period=120 --wait=false
eventually "its Job counts and replaces nothing before its end" 20 is "//1" in_work get job slow -o 'jsonpath={.status.active}/{.status.failed}/{.status.terminating}'
check "it may end" in_work exec "$slow" -- touch /tmp/end
check "a Job is deleted without a word of its pods" kubectl delete --raw /apis/batch/v1/namespaces/workloads/jobs/orphans
orphans_gone() { ! in_work get job orphans >/dev/null 2>&1; }
eventually "it goes" 20 orphans_gone
equal "and leaves them" "" owners_of pods -l job-name=orphans

slices() { in_work get endpointslices -l kubernetes.io/service-name=by-hand -o 'jsonpath={.items[*].endpoints[*].addresses[*]}:{.items[*].ports[*].port}'; }
eventually "Endpoints that are written by hand are mirrored" 20 is 10.9.8.7:8080 slices
check "they change" in_work patch endpoints by-hand --type=merge -p '{"subsets":[{"addresses":[{"ip":"10.9.8.6"}],"ports":[{"port":8081}]}]}'
eventually "and so does the slice" 20 is 10.9.8.6:8081 slices
check "they are deleted" in_work delete endpoints by-hand
eventually "with the slice" 20 is ":" slices

check "a DaemonSet runs" in_work rollout status daemonset/daemon --timeout=180s
first_revision=$(in_work get controllerrevisions -l app=daemon -o 'jsonpath={.items[0].metadata.name}')
daemon_pods=$(in_work get pods -l app=daemon -o 'jsonpath={.items[*].metadata.uid}')
in_work get controllerrevision "$first_revision" -o json |
    sed -e "s/\"name\": \"$first_revision\"/\"name\": \"daemon-another\"/" -e 's/^    "revision": 1/    "revision": 2/' \
        -e 's/\("controller-revision-hash": \)"[^"]*"/\1"another"/' -e '/"resourceVersion"/d' >"$work/revision.json"
check "its revision is made anew under another name" in_work create -f "$work/revision.json"
check "the first one is deleted" in_work delete controllerrevision "$first_revision"
check "a label of the DaemonSet changes" in_work label daemonset daemon changed=yes
check "its template changes" in_work patch daemonset daemon -p '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}'
revisions() { in_work get controllerrevisions -l app=daemon -o 'jsonpath={.items[*].revision}' | tr ' ' '\n' | sort | xargs; }
eventually "and makes the third revision" 20 is "2 3" revisions
check "it rolls out" in_work rollout status daemonset/daemon --timeout=180s
check "over a new pod" test "$daemon_pods" != "$(in_work get pods -l app=daemon -o 'jsonpath={.items[*].metadata.uid}')"

failed_by_hand=$(in_work get pods -l app=daemon -o 'jsonpath={.items[0].metadata.name}')
in_work get pod "$failed_by_hand" -o json | sed -e '/"resourceVersion"/d' -e 's/"phase": "Running"/"phase": "Failed"/' >"$work/failed.json"
check "somebody says that its pod failed" kubectl replace --raw "/api/v1/namespaces/workloads/pods/$failed_by_hand/status" -f "$work/failed.json"
failed_gone() { ! in_work get pod "$failed_by_hand" >/dev/null 2>&1; }
eventually "that one goes" 30 failed_gone
eventually "and another one comes" 30 is 1 in_work get daemonset daemon -o 'jsonpath={.status.numberReady}'
daemon_pods=$(in_work get pods -l app=daemon -o 'jsonpath={.items[*].metadata.uid}')
all_nodes=$(kubectl get nodes -o 'jsonpath={.items[*].metadata.name}')
check "nodes take no more pods" kubectl taint nodes $all_nodes full=yes:NoSchedule
eventually "a DaemonSet wants none there any more" 20 is 0 in_work get daemonset daemon -o 'jsonpath={.status.desiredNumberScheduled}'
equal "and leaves what runs" "$daemon_pods" in_work get pods -l app=daemon -o 'jsonpath={.items[*].metadata.uid}'
check "they take pods again" kubectl taint nodes $all_nodes full-

check "a StatefulSet runs" in_work rollout status statefulset/members --timeout=180s
current_revision=$(in_work get sts members -o 'jsonpath={.status.currentRevision}')
equal "its pods are labelled with its revision" "$current_revision $current_revision" in_work get pods -l app=members -o 'jsonpath={.items[*].metadata.labels.controller-revision-hash}'
equal "its claims go with it" "StatefulSet StatefulSet" owners_of pvc data-members-0 data-members-1
check "its pods fall ill" in_work exec members-0 -- rm /tmp/well
check "both of them" in_work exec members-1 -- rm /tmp/well
eventually "none is ready" 20 is "" in_work get sts members -o 'jsonpath={.status.readyReplicas}'
check "it is scaled down" in_work scale sts members --replicas=0
eventually "which it has seen" 20 is 2 in_work get sts members -o 'jsonpath={.status.observedGeneration}'
equal "and the ill stay" 2 in_work get sts members -o 'jsonpath={.status.replicas}'
check "the first recovers" in_work exec members-0 -- touch /tmp/well
eventually "then they go" 30 is 0 in_work get sts members -o 'jsonpath={.status.replicas}'
eventually "with their claims" 30 is "" in_work get pvc -l app=members -o 'jsonpath={.items[*].metadata.name}'

node_name=$(kubectl get nodes -o 'jsonpath={.items[0].metadata.name}')
check "cordoned" kubectl cordon "$node_name"
eventually "a cordoned node has a taint" 20 contains node.kubernetes.io/unschedulable kubectl get node "$node_name" -o 'jsonpath={.spec.taints[*].key}'
check "a member has its claim" in_work rollout status statefulset/holding --timeout=180s
check "it is deleted" in_work delete pod holding-0
eventually "the next one waits" 30 is Pending in_work get pod holding-0 -o 'jsonpath={.status.phase}'
former_claim=$(in_work get pvc data-holding-0 -o 'jsonpath={.metadata.uid}')
check "its claim is deleted" in_work delete pvc data-holding-0 --wait=false
claimed_anew() { local uid; uid=$(in_work get pvc data-holding-0 -o 'jsonpath={.metadata.uid}') && [ -n "$uid" ] && [ "$uid" != "$former_claim" ]; }
eventually "and made anew" 30 claimed_anew
check "uncordoned" kubectl uncordon "$node_name"
eventually "and loses it" 20 is "" kubectl get node "$node_name" -o 'jsonpath={.spec.taints[*].key}'
check "the member comes back" in_work rollout status statefulset/holding --timeout=180s
eventually "the Job of the pod that ended tries again" 30 is 1/1/0 in_work get job slow -o 'jsonpath={.status.active}/{.status.failed}/{.status.terminating}'
check "a pod that has a port of the host, and a member that wants it" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: holder, namespace: workloads}
spec: {nodeName: $node_name, $work_pod, command: [sleep, "1000"], ports: [{hostPort: 21017, containerPort: 80}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: wanting, namespace: workloads}
spec:
  serviceName: wanting
  selector: {matchLabels: {app: wanting}}
  template: {metadata: {labels: {app: wanting}}, spec: {nodeName: $node_name, $work_pod, command: [sleep, "1000"], ports: [{hostPort: 21017, containerPort: 80}]}]}}
EOF
check "a pod of this node that asks for more than it has" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: greedy, namespace: workloads}
spec: {nodeName: $node_name, $work_pod, command: [sleep, "1000"], resources: {requests: {cpu: "10000"}}}]}
EOF
eventually "is refused" 20 is "Failed OutOfcpu" in_work get pod greedy -o 'jsonpath={.status.phase} {.status.reason}'
refuse "a CronJob in a zone that nobody knows" "unknown time zone Nowhere/Town" in_work create -f - <<EOF
apiVersion: batch/v1
kind: CronJob
metadata: {name: lost}
spec: {schedule: "0 9 * * *", timeZone: Nowhere/Town, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, $work_pod}]}}}}}
EOF
eventually "the node refuses it" 20 contains "Predicate NodePorts failed" in_work get events --field-selector involvedObject.name=wanting-0
check "the holder goes" in_work delete pod holder
check "the member comes" in_work rollout status statefulset/wanting --timeout=180s
check "and goes" in_work delete statefulset wanting
check "a resource that nobody hands out" kubectl patch node "$node_name" --subresource=status --type=merge -p '{"status":{"capacity":{"example.com/thing":"2"},"allocatable":{"example.com/thing":"2"}}}'
check "a pod that wants one" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: counted, namespace: workloads}
spec: {$work_pod, command: [sleep, "1000"], resources: {limits: {example.com/thing: "1"}}}]}
EOF
check "is counted, and runs" in_work wait --for=condition=Ready pod/counted --timeout=180s
node_cpu=$(kubectl get node "$node_name" -o "jsonpath={.status.allocatable.cpu}")
case $node_cpu in *m) ;; *) node_cpu=$((node_cpu * 1000))m ;; esac
much=$((${node_cpu%m} * 6 / 10))m
check "a pod that needs much, and classes of pods that matter more" kubectl apply -f - <<EOF
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: matters-more}
value: 1000
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: matters-somewhat}
value: 500
---
apiVersion: v1
kind: Pod
metadata: {name: low, namespace: workloads}
spec: {${work_pod/Seconds: 0/Seconds: 4}, command: [sleep, "1000"], resources: {requests: {cpu: $much}}}]}
EOF
check "it runs" in_work wait --for=condition=Ready pod/low --timeout=180s
check "one that matters somewhat comes" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: between, namespace: workloads}
spec: {priorityClassName: matters-somewhat, $work_pod, command: [sleep, "1000"], resources: {requests: {cpu: $much}}}]}
EOF
check "and waits for its end" in_work wait --for="jsonpath={.status.nominatedNodeName}=$node_name" pod/between --timeout=10s
check "one that matters more comes" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: high, namespace: workloads}
spec: {priorityClassName: matters-more, $work_pod, command: [sleep, "1000"], resources: {requests: {cpu: $much}}}]}
EOF
check "and takes its place" in_work wait --for=condition=Ready pod/high --timeout=180s
check "the first is gone" refuse_quietly in_work get pod low
equal "for the other" "$node_name" in_work get pod high -o "jsonpath={.status.nominatedNodeName}"
equal "the one between waits on" "Pending " in_work get pod between -o "jsonpath={.status.phase} {.status.nominatedNodeName}"
check "until it is given up" in_work delete pod between
eventually "which is told" 20 contains "Preempted by pod" in_work get events --field-selector involvedObject.name=low
check "a pod that another will not have near" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: near, namespace: workloads, labels: {role: near}}
spec: {$work_pod, command: [sleep, "1000"]}]}
EOF
check "it runs" in_work wait --for=condition=Ready pod/near --timeout=30s
check "the other, which matters more" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: workloads}
spec: {priorityClassName: matters-more, affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {role: near}}}]}}, $work_pod, command: [sleep, "1000"]}]}
EOF
check "takes its place" in_work wait --for=condition=Ready pod/alone --timeout=30s
check "the first is gone" refuse_quietly in_work get pod near
check "nobody else had to go" in_work get pod high counted
check "the classes go" kubectl delete priorityclass matters-more matters-somewhat
check "the namespace goes" kubectl delete namespace workloads --timeout=180s
