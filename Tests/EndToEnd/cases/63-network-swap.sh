# The network is swapped under running pods: the default for CNI plugins, and back, with hostd restarted in between.
cat >"$work/network-swap.yaml" <<'EOF'
apiVersion: v1
kind: Service
metadata: {name: swapped}
spec:
  selector: {app: swapped}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: swapped-server, labels: {app: swapped}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "mkdir -p /tmp/www; echo served >/tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"]
---
apiVersion: v1
kind: Pod
metadata: {name: swapped-client}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sleep, "100000"]}
EOF
swap_pod() {
    cat <<EOF | kubectl apply -f -
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sleep, "100000"]}
EOF
}
swap_addresses() { kubectl get pods swapped-server swapped-client -o jsonpath='{.items[*].status.podIP}'; }
swap_links() { kubectl exec swapped-client -- ip -4 -o addr show eth0; kubectl exec swapped-client -- ip -o link show eth0; }
swap_served() {
    local address
    address=$(kubectl get service swapped -o 'jsonpath={.spec.clusterIP}')
    is served curl -sS --max-time 20 "http://$address/" && is served kubectl exec swapped-client -- wget -qO- "http://$address/" &&
        is served kubectl exec swapped-client -- wget -qO- http://swapped/
}

check "a service and its client" kubectl apply -f "$work/network-swap.yaml"
check "they run" kubectl wait --for=condition=Ready pod/swapped-server pod/swapped-client --timeout=180s
eventually "the service is reached from the host and from a pod" 30 swap_served
before=$(swap_addresses)
links_before=$(swap_links)
check "the network is swapped for CNI plugins" "$hostd" plugin swap hostd.network/1 --to cni --options '{"configurationDirectory":"/nowhere"}'
check "the service is reached at once" swap_served
eventually "only the new network's table is left" 10 is "table ip hostd-cni" nft list tables
equal "pods keep their addresses" "$before" swap_addresses
equal "and their links" "$links_before" swap_links
check "a pod is attached by CNI plugins" swap_pod swapped-third
check "it runs" kubectl wait --for=condition=Ready pod/swapped-third --timeout=180s
third=$(jsonpath pod swapped-third '{.status.podIP}')
check "with an address that nobody has" sh -c "! echo '$before' | grep -qw '$third'"
check "it reaches the service" is served kubectl exec swapped-third -- wget -qO- http://swapped/
stop_hostd
equal "hostd ends well under the swapped network" 0 echo "$hostd_status"
start_hostd
eventually "the swap outlives hostd's end" 30 swap_served
check "and so do all addresses" is "$before $third" sh -c "echo \"\$(kubectl get pods swapped-server swapped-client -o jsonpath='{.items[*].status.podIP}') \$(kubectl get pod swapped-third -o jsonpath='{.status.podIP}')\""
check "back to the network before" "$hostd" plugin rollback hostd.network/1
check "the service is reached at once again" swap_served
eventually "only its table is left" 10 is "table ip hostd" nft list tables
equal "pods keep their addresses a second time" "$before" swap_addresses
check "the third pod is served, too" is served kubectl exec swapped-third -- wget -qO- http://swapped/
check "a fourth pod is attached" swap_pod swapped-fourth
check "and runs" kubectl wait --for=condition=Ready pod/swapped-fourth --timeout=180s
fourth=$(jsonpath pod swapped-fourth '{.status.podIP}')
check "with an address of its own" sh -c "! echo '$before $third' | grep -qw '$fourth'"
check "what CNI plugins attached is detached by the other" kubectl delete pod swapped-third --timeout=180s
eventually "its address is free" 20 sh -c "! ls $data/pod-network/attachments | xargs -I{} cat $data/pod-network/attachments/{} | grep -q '\"$third/'"
check "everything is deleted" kubectl delete -f "$work/network-swap.yaml" --timeout=180s
check "the fourth, too" kubectl delete pod swapped-fourth --timeout=180s
eventually "nothing is left of the attachments" 20 is 0 sh -c "grep -l swapped $data/pod-network/attachments/*.json 2>/dev/null | wc -l"
