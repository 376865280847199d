# Pods of many kinds: init containers, probes, users, limits, projected volumes, jobs, streams.
kubectl apply -f - >/dev/null <<'EOF'
apiVersion: v1
kind: Pod
metadata: {name: many, labels: {app: many}, annotations: {note: hello}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {fsGroup: 2000}
  initContainers:
  - {name: first, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sh, -c, "echo one > /shared/order"], volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: second, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sh, -c, "echo two >> /shared/order"], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo started $(NAME); trap 'exit 0' TERM; while :; do sleep 1; done"]
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    securityContext: {runAsUser: 1000, runAsGroup: 1000, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    resources: {limits: {memory: 32Mi, cpu: 500m}}
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: all, mountPath: /all}
    - {name: files, mountPath: /files, subPath: etc}
  volumes:
  - {name: shared, emptyDir: {}}
  - {name: files, image: {reference: "hostd.dev/example:latest", pullPolicy: IfNotPresent}}
  - name: all
    projected:
      sources:
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: note, fieldRef: {fieldPath: "metadata.annotations['note']"}}]}
      - serviceAccountToken: {path: token, expirationSeconds: 3600, audience: test}
---
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sh, -c, "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo $x | wc -c"], resources: {limits: {memory: 20Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: wasteful}
spec:
  containers:
  - {name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sh, -c, "head -c 10000000 /dev/zero > /file; exec sleep 1000"], resources: {limits: {ephemeral-storage: 5Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: apart}
spec:
  hostUsers: false
  terminationGracePeriodSeconds: 0
  securityContext: {fsGroup: 200}
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    volumeMounts: [{name: about, mountPath: /about}, {name: scratch, mountPath: /scratch}]
  volumes:
  - {name: about, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
  - {name: scratch, emptyDir: {}}
---
apiVersion: v1
kind: Pod
metadata: {name: terse}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, "printf DONE; exit 1"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: lingering}
spec:
  containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, lifecycle: {preStop: {sleep: {seconds: 3}}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: unwell}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, livenessProbe: {exec: {command: ["false"]}, periodSeconds: 1, failureThreshold: 1}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 3
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sh, -c, "echo done"]}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: stateful}
spec:
  serviceName: stateful
  replicas: 2
  selector: {matchLabels: {app: stateful}}
  template:
    metadata: {labels: {app: stateful}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: stateful}
spec: {clusterIP: None, selector: {app: stateful}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent}]
EOF
check "the pod of many parts is ready" kubectl wait pod/many --for=condition=Ready --timeout=180s
equal "init containers ran in order" "$(printf 'one\ntwo')" kubectl exec many -- cat /shared/order
equal "it runs as its user, with the volume's group" "uid=1000 gid=1000 groups=1000,2000" kubectl exec many -- id
equal "and the status says so" '{"gid":1000,"supplementalGroups":[1000,2000],"uid":1000}' kubectl get pod many -o jsonpath='{.status.containerStatuses[0].user.linux}'
check "an image is a volume" kubectl exec many -- grep -q ^root: /files/passwd
check "the root is read-only" kubectl exec many -- sh -c '! touch /file 2>/dev/null'
equal "no capabilities are left" "0000000000000000" kubectl exec many -- sh -c "sed -n 's/^CapEff:.//p' /proc/self/status"
check "a pod with users of its own is ready" kubectl wait pod/apart --for=condition=Ready --timeout=180s
check "whose users are others on the host" sh -c "kubectl exec apart -- cat /proc/self/uid_map | grep -E '^ +0 +[1-9][0-9]* +65536$'"
equal "and whose volumes' files belong to whom they should" "0 200 0 200" kubectl exec apart -- sh -c 'touch /scratch/x && echo $(stat -Lc "%u %g" /about/name /scratch/x)'
eventually "variables are expanded" 10 is "started many" kubectl logs many
equal "the limit is in the environment" 33554432 kubectl exec many -- sh -c 'echo $LIMIT'
equal "labels are a file" 'app="many"' kubectl exec many -- cat /all/labels
equal "an annotation is a file" hello kubectl exec many -- cat /all/note
equal "the token is for its audience" '["test"]' sh -c "kubectl exec many -- cat /all/token | cut -d. -f2 | tr '_-' '/+' | base64 -d 2>/dev/null | jq -c .aud"
equal "the token is the user's and the group's alone" 640 kubectl exec many -- stat -Lc %a /all/token
check "attach" sh -c "timeout 3 kubectl attach many >/dev/null 2>&1; [ \$? = 124 ]"
kubectl logs -f many >"$work/followed" 2>&1 &
follower=$!
eventually "a log can be followed" 10 grep -q 'started many' "$work/followed"
check "as long as the container runs" kill "$follower"
wait "$follower" 2>/dev/null || true
check "its memory is resized" kubectl patch pod many --subresource resize -p '{"spec":{"containers":[{"name":"main","resources":{"requests":{"memory":"48Mi"},"limits":{"memory":"48Mi"}}}]}}' -o name
eventually "the status tells" 10 is "48Mi 0" jsonpath pod many '{.status.containerStatuses[0].resources.limits.memory} {.status.containerStatuses[0].restartCount}'
equal "and so does its cgroup" 50331648 kubectl exec many -- sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null'
refuse "a limit cannot be taken away" "resource limits cannot be removed" kubectl patch pod many --subresource resize --type json -p '[{"op":"remove","path":"/spec/containers/0/resources/limits"}]'
check "a container for debugging" kubectl debug many --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --target=main --container=debugger -- sh -c 'tr "\\0" " " </proc/1/cmdline'
eventually "sees the processes of its target" 10 contains "trap 'exit 0' TERM" kubectl logs many -c debugger
node=$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')
check "the node's log files" contains 'href="default_many_' kubectl get --raw "/api/v1/nodes/$node/proxy/logs/pods/"
check "the node's figures of the pod" contains 'pod_memory_working_set_bytes[{]namespace="default",pod="many"[}]' kubectl get --raw "/api/v1/nodes/$node/proxy/metrics/resource"
message_of() { kubectl get pod "$1" -o json | jq -c '.status.containerStatuses[0].state.terminated.message'; }
eventually "what a failed container wrote last is its message, to the letter" 10 is '"DONE"' message_of terse
takes() { local began=${EPOCHREALTIME/./}; "${@:2}" >/dev/null && [ $((${EPOCHREALTIME/./} - began)) -ge "$1" ] || { echo "it took $((${EPOCHREALTIME/./} - began)) µs"; return 1; }; }
check "a pod with a preStop hook" kubectl wait pod/lingering --for=condition=Ready --timeout=180s
check "ends after the hook" takes 3000000 kubectl delete pod lingering --timeout=180s
eventually "too much memory: OOMKilled" 30 is OOMKilled jsonpath pod hungry '{.status.containerStatuses[0].state.terminated.reason}'
eventually "a failing liveness probe restarts" 30 contains '[1-9]' jsonpath pod unwell '{.status.containerStatuses[0].restartCount}'
eventually "too much on disk: Evicted" 30 is "Failed Evicted" jsonpath pod wasteful '{.status.phase} {.status.reason}'
check "the job completes" kubectl wait job/sum --for=condition=Complete --timeout=180s
check "the stateful set rolls out" kubectl rollout status statefulset/stateful --timeout=180s
check "its pods have names in DNS" sh -c "kubectl exec many -- nslookup stateful-1.stateful.default.svc.cluster.local"
check "the daemon set rolls out" kubectl rollout status daemonset/everywhere --timeout=180s
check "delete them" kubectl delete pod/many pod/apart pod/hungry pod/wasteful pod/unwell pod/terse job/sum statefulset/stateful service/stateful daemonset/everywhere --timeout=180s
check "and the claims" kubectl delete pvc data-stateful-0 data-stateful-1 --timeout=180s
eventually "their volumes are reclaimed" 20 is 0 sh -c "kubectl get pv --no-headers 2>/dev/null | grep -c data-stateful || true"
