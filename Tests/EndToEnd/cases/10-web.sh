# The example application: real containers, service, DNS, configuration, secret, volume, life of a Deployment.
equal "the ready line" "hostd ready https://127.0.0.1:6443 kubeconfig=$data/admin.kubeconfig" echo "$ready_line"
check "apply the example" kubectl apply -f "$root/examples/web.yaml"
check "it rolls out" kubectl rollout status deployment/web --timeout=60s
equal "three pods are running" "Running Running Running" kubectl get pods -l app=web -o 'jsonpath={.items[*].status.phase}'
equal "with three addresses" 3 sh -c "kubectl get pods -l app=web -o 'jsonpath={range .items[*]}{.status.podIP}{\"\n\"}{end}' | sort -u | wc -l"
equal "the claim is bound" Bound jsonpath pvc web '{.status.phase}'

pod=$(kubectl get pods -l app=web -o 'jsonpath={.items[0].metadata.name}')
address=$(jsonpath service web '{.spec.clusterIP}')
names() { for _ in $(seq 40); do curl -sS --max-time 5 "http://$address/cgi-bin/hostname"; done | sort -u; }
all_three() { [ "$(names | wc -l)" = 3 ]; }
eventually "the service answers from all three, from the host" 20 all_three
inside() { kubectl exec "$1" -- sh -c 'for i in $(seq 40); do wget -qO- http://web/cgi-bin/hostname; done' | sort -u | wc -l; }
eventually "and from inside a pod, by its DNS name" 20 is 3 inside "$pod"
check "the full DNS name resolves" kubectl exec "$pod" -- nslookup web.default.svc.cluster.local
check "the API is reachable from a pod" kubectl exec "$pod" -- sh -c 'nslookup kubernetes.default.svc.cluster.local'
equal "the secret is in the environment" open-sesame kubectl exec "$pod" -- sh -c 'echo $TOKEN'
equal "the ConfigMap is a file" "Hello from hostd." kubectl exec "$pod" -- cat /etc/web/greeting.txt
check "edit the ConfigMap" kubectl patch configmap web --type merge -p '{"data":{"greeting.txt":"changed\n"}}'
eventually "the edit reaches the file" 30 is changed kubectl exec "$pod" -- cat /etc/web/greeting.txt

check "write into the volume" kubectl exec "$pod" -- sh -c 'echo kept > /data/file'
check "delete the pod" kubectl delete pod "$pod" --timeout=60s
check "it is replaced" kubectl rollout status deployment/web --timeout=60s
pod=$(kubectl get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
equal "data survives the pod" kept kubectl exec "$pod" -- cat /data/file

check "describe" contains 'Node:.*' kubectl describe pod "$pod"
check "describe shows events" contains 'Started' kubectl describe pod "$pod"
check "logs" kubectl logs "$pod"
equal "exec with standard input" "through" sh -c "echo through | kubectl exec -i $pod -- cat"
check "exec gives the exit code" sh -c "kubectl exec $pod -- sh -c 'exit 7'; [ \$? = 7 ]"
check "exec with a terminal" contains "/dev/pts" script -qec "kubectl exec -it $pod -- tty" /dev/null

check "scale up" kubectl scale deployment/web --replicas=5
check "five are ready" kubectl rollout status deployment/web --timeout=60s
equal "five replicas" 5 jsonpath deployment web '{.status.readyReplicas}'
check "scale down" kubectl scale deployment/web --replicas=3
eventually "two are gone" 60 is 3 sh -c "kubectl get pods -l app=web --no-headers | wc -l"

check "rollout restart" kubectl rollout restart deployment/web
check "restart completes" kubectl rollout status deployment/web --timeout=90s
check "history has two revisions" contains '^2' kubectl rollout history deployment/web
check "rollout undo" kubectl rollout undo deployment/web
check "undo completes" kubectl rollout status deployment/web --timeout=90s
