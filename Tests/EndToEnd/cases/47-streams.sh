# Streams as each kubectl on the machine speaks them: SPDY up to 1.29 (ports up to 1.30), WebSocket after that.
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: streams, labels: {app: streams}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    # At its loopback alone, where only a forwarded port reaches it.
    command: [sh, -c, "mkdir -p /tmp/www && echo from the pod > /tmp/www/index.html && head -c 3000000 /dev/urandom > /tmp/www/big && httpd -p 127.0.0.1:8080 -h /tmp/www && exec sleep 1000000"]
---
apiVersion: v1
kind: Service
metadata: {name: streams}
spec: {selector: {app: streams}, ports: [{port: 80, targetPort: 8080}]}
YAML
check "the pod of streams is ready" kubectl wait --for=condition=Ready pod/streams --timeout=180s
wanted=$(kubectl exec streams -- sha256sum /tmp/www/big | cut -d' ' -f1)

# forward CLIENT TARGET PORT: begins, and leaves the local port in $local and the process in $forward.
forward() {
    rm -f "$work/forward"
    mkfifo "$work/forward"
    "$1" port-forward "$2" ":$3" >"$work/forward" 2>"$work/forward.err" &
    forward=$!
    exec {forwards}<"$work/forward"
    local line
    read -rt 120 -u "$forwards" line || { cat "$work/forward.err"; return 1; }
    local=$(sed -E 's/.*:([0-9]+) -> .*/\1/' <<<"$line")
}
unforward() {
    kill "$forward" 2>/dev/null || true
    wait "$forward" 2>/dev/null || true
    exec {forwards}<&-
}

for client in $(ls "$(dirname "$(readlink -f "$(command -v kubectl)")")"/kubectl.1.* 2>/dev/null); do
    version=$(basename "$client")
    equal "$version: exec" "hello" "$client" exec streams -- echo hello
    equal "$version: exec reads its input to the end" "5 bytes" sh -c "printf 12345 | $client exec -i streams -- sh -c 'echo \$(wc -c) bytes'"
    refuse "$version: exec tells the exit status" "exit code 3" "$client" exec streams -- sh -c "exit 3"
    equal "$version: exec keeps standard error apart" "err" sh -c "$client exec streams -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null"
    equal "$version: exec carries 3 MB" "$wanted" sh -c "$client exec streams -- cat /tmp/www/big | sha256sum | cut -d' ' -f1"
    if forward "$client" pod/streams 8080; then
        equal "$version: a port of a pod" "from the pod" curl -s --max-time 20 "http://127.0.0.1:$local/"
        equal "$version: 3 MB through a port" "$wanted" sh -c "curl -s --max-time 30 http://127.0.0.1:$local/big | sha256sum | cut -d' ' -f1"
        equal "$version: four connections at once" "4" sh -c "for i in 1 2 3 4; do curl -s --max-time 30 http://127.0.0.1:$local/big | sha256sum & done | grep -c $wanted"
    else
        fail_check "$version: a port of a pod" "$(cat "$work/forward.err")"
    fi
    unforward
done
if forward kubectl service/streams 80; then
    equal "a port of a service" "from the pod" curl -s --max-time 20 "http://127.0.0.1:$local/"
else
    fail_check "a port of a service" "$(cat "$work/forward.err")"
fi
unforward
if forward kubectl pod/streams 9; then
    refuse "a port that nobody listens on gives no answer" "." sh -c "curl -sS --max-time 20 http://127.0.0.1:$local/ 2>&1 && exit 0; echo refused; exit 1"
    eventually "and says why" 10 grep -q "Connection refused" "$work/forward.err"
else
    fail_check "a port that nobody listens on" "$(cat "$work/forward.err")"
fi
unforward
refuse "a pod that is not there" "not found" kubectl port-forward pod/nowhere :80
check "copied into a pod" kubectl cp "$root/README.md" streams:/tmp/README.md
check "and back" kubectl cp streams:/tmp/README.md "$work/README.copy"
check "unchanged" cmp "$root/README.md" "$work/README.copy"
kubectl delete pod/streams service/streams --wait=false >/dev/null
