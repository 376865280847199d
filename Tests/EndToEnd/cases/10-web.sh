# The example application: real containers, service, DNS, configuration, secret, volume, life of a Deployment.
equal "the ready line" "hostd ready https://127.0.0.1:6443 kubeconfig=$data/admin.kubeconfig" echo "$ready_line"
check "apply the example" kubectl apply -f "$root/examples/web.yaml"
check "it rolls out" kubectl rollout status deployment/web --timeout=180s
equal "three pods are running" "Running Running Running" kubectl get pods -l app=web -o 'jsonpath={.items[*].status.phase}'
equal "with three addresses" 3 sh -c "kubectl get pods -l app=web -o 'jsonpath={range .items[*]}{.status.podIP}{\"\n\"}{end}' | sort -u | wc -l"
equal "the claim is bound" Bound jsonpath pvc web '{.status.phase}'

pod=$(kubectl get pods -l app=web -o 'jsonpath={.items[0].metadata.name}')
address=$(jsonpath service web '{.spec.clusterIP}')
equal "the service's address is an object" "services default/web" jsonpath ipaddress "$address" '{.spec.parentRef.resource} {.spec.parentRef.namespace}/{.spec.parentRef.name}'
equal "the range of addresses is one" "10.96.0.0/16 True" jsonpath servicecidr kubernetes '{.spec.cidrs[0]} {.status.conditions[?(@.type=="Ready")].status}'
names() { for _ in $(seq 40); do curl -sS --max-time 20 "http://$address/cgi-bin/hostname"; done | sort -u; }
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
check "delete the pod" kubectl delete pod "$pod" --timeout=180s
check "it is replaced" kubectl rollout status deployment/web --timeout=180s
pod=$(kubectl get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
equal "data survives the pod" kept kubectl exec "$pod" -- cat /data/file

check "describe" contains 'Node:.*' kubectl describe pod "$pod"
check "describe shows events" contains 'Started' kubectl describe pod "$pod"
check "logs" kubectl logs "$pod"
equal "exec with standard input" "through" sh -c "echo through | kubectl exec -i $pod -- cat"
check "exec gives the exit code" sh -c "kubectl exec $pod -- sh -c 'exit 7'; [ \$? = 7 ]"
check "exec with a terminal" contains "/dev/pts" script -qec "kubectl exec -it $pod -- tty" /dev/null

check "scale up" kubectl scale deployment/web --replicas=5
check "five are ready" kubectl rollout status deployment/web --timeout=180s
equal "five replicas" 5 jsonpath deployment web '{.status.readyReplicas}'
check "scale down" kubectl scale deployment/web --replicas=3
eventually "two are gone" 60 is 3 sh -c "kubectl get pods -l app=web --no-headers | wc -l"

check "rollout restart" kubectl rollout restart deployment/web
check "restart completes" kubectl rollout status deployment/web --timeout=180s
check "history has two revisions" contains '^2' kubectl rollout history deployment/web
check "rollout undo" kubectl rollout undo deployment/web
check "undo completes" kubectl rollout status deployment/web --timeout=180s

# Network policies: who may reach the pods, at once, for pods that run and pods that come.
eventually "the rollout's old pods are gone" 30 is 3 sh -c "kubectl get pods -l app=web --no-headers | wc -l"
check "a pod of no application" kubectl run outsider --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --restart=Never --command -- sleep 600
check "it is ready" kubectl wait pod/outsider --for=condition=Ready --timeout=180s
server=$(kubectl get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[0].status.podIP}')
insider=$(kubectl get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[1].metadata.name}')
reach() { kubectl exec "$1" -- timeout "${3:-20}" wget -qO- "http://$2" >"$work/answer"; }
# Nothing answers, not even that nothing does: the time runs out.
closed() {
    local status=0
    reach "$@" 1 || status=$?
    [ "$status" = 143 ] || [ "$status" = 124 ] || { echo "wget ended with $status"; return 1; }
}
check "without policies it reaches the application" reach outsider "$server:8080"
check "a policy that lets only the application in" kubectl apply -f - <<POLICY
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}]}}]
    ports: [{port: http}]
POLICY
eventually "the pod is kept out" 3 closed outsider "$server:8080"
check "and by the service's address" closed outsider "$address"
check "the application reaches itself" reach "$insider" "$server:8080"
check "and by the service's name" reach "$insider" web
check "the host reaches it" curl -sS --max-time 20 -o "$work/answer" "http://$server:8080/"
check "label the pod as part of the application" kubectl label pod outsider app=web
eventually "it is let in" 3 reach outsider "$server:8080"
check "unlabel it" kubectl label pod outsider app-
eventually "and kept out again" 3 closed outsider "$server:8080"
check "a new pod of the application" kubectl delete pod "$insider" --timeout=180s
check "comes" kubectl rollout status deployment/web --timeout=180s
newest=$(kubectl get pods -l app=web --sort-by=.metadata.creationTimestamp -o 'jsonpath={.items[-1:].status.podIP}')
check "and is closed from its start" closed outsider "$newest:8080"
check "nothing but names may leave the pod" kubectl apply -f - <<POLICY
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: names-only}
spec:
  podSelector: {matchLabels: {run: outsider}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
    ports: [{port: 53, protocol: UDP}, {port: 53}]
POLICY
gateway=$(kubectl get endpointslice -n kube-system kube-dns -o 'jsonpath={.endpoints[0].addresses[0]}')
eventually "the host's other ports are closed to it" 3 closed outsider "$gateway:6443"
check "it resolves names" kubectl exec outsider -- nslookup web.default.svc.cluster.local
check "remove the policies" kubectl delete networkpolicy --all
eventually "everybody is let in again" 3 reach outsider "$server:8080"

# A balancer asks each node whether it has endpoints, and this node keeps out whom it would.
client=$(jsonpath pod outsider '{.status.podIP}')
check "a service for a balancer" kubectl apply -f - <<SERVICE
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  loadBalancerSourceRanges: [$client/32]
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
SERVICE
port=$(jsonpath service balanced '{.spec.healthCheckNodePort}')
health() { curl -sS --max-time 20 -o "$work/answer" -w '%{http_code}' "http://127.0.0.1:$port/healthz"; }
eventually "this node has endpoints of it" 20 is 200 health
check "and says how many" contains '"localEndpoints":3' cat "$work/answer"
check "the balancer gets an address" kubectl patch service balanced --subresource=status --type merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.7"}]}}}'
eventually "a client that it admits reaches it" 3 reach outsider 203.0.113.7
check "admit others" kubectl patch service balanced --type merge -p '{"spec":{"loadBalancerSourceRanges":["192.0.2.0/24"]}}'
eventually "the client is kept out" 3 closed outsider 203.0.113.7
check "the service loses its pods" kubectl patch service balanced --type merge -p '{"spec":{"selector":{"app":"nobody"}}}'
eventually "this node has no endpoints of it" 20 is 503 health
equal "services are routed" 200 curl -sS --max-time 20 -o "$work/answer" -w '%{http_code}' http://127.0.0.1:10256/livez
check "remove the service" kubectl delete service balanced
check "remove the pod" kubectl delete pod outsider --grace-period=0 --force
