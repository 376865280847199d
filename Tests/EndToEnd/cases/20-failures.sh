# Containers, pods and hostd itself are killed.
eventually "the rollout has settled" 60 is 3 sh -c "kubectl get pods -l app=web --no-headers | wc -l"
pod=$(kubectl get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
kubectl exec "$pod" -- sh -c 'kill $(pidof httpd)' >/dev/null 2>&1 || true
eventually "a killed container is restarted" 60 is 1 jsonpath pod "$pod" '{.status.containerStatuses[0].restartCount}'
eventually "and becomes ready" 60 is True jsonpath pod "$pod" '{.status.conditions[?(@.type=="Ready")].status}'

state() { kubectl get pods -l app=web --sort-by=.metadata.name -o 'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].state.running.startedAt} {.status.containerStatuses[0].restartCount} {.status.podIP}{"\n"}{end}'; }
before=$(state)
address=$(jsonpath service web '{.spec.clusterIP}')
endpoint=$(kubectl get pods -l app=web -o 'jsonpath={.items[0].status.podIP}')
check "write just before the crash" kubectl create configmap last-words --from-literal=said=yes
stop_hostd KILL
check "containers serve while hostd is dead" curl -sS --max-time 20 "http://$endpoint:8080/cgi-bin/hostname"
check "the service address too" curl -sS --max-time 20 "http://$address/cgi-bin/hostname"
start_hostd
equal "what was acknowledged is there" yes jsonpath configmap last-words '{.data.said}'
eventually "the node is ready again" 30 is True sh -c "kubectl get nodes -o 'jsonpath={.items[0].status.conditions[?(@.type==\"Ready\")].status}'"
equal "the same containers are adopted" "$before" state
check "exec into an adopted container" kubectl exec "$pod" -- true

stop_hostd TERM
equal "SIGTERM ends hostd with status 0" 0 echo "$hostd_status"
check "containers go on" curl -sS --max-time 20 "http://$endpoint:8080/cgi-bin/hostname"
start_hostd
eventually "and are adopted again" 30 is "$before" state
