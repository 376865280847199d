# The state in a real etcd: a hostd of its own on it, a crash, and the move to the embedded engine and back.
etcd_data=$work/etcd
etcd --name m --data-dir "$etcd_data" --listen-client-urls http://127.0.0.1:23790 --advertise-client-urls http://127.0.0.1:23790 \
    --listen-peer-urls http://127.0.0.1:23800 --initial-advertise-peer-urls http://127.0.0.1:23800 \
    --initial-cluster m=http://127.0.0.1:23800 --log-level error >"$work/etcd.log" 2>&1 &
etcd_pid=$!
etcd_hostd=
etcd_config() {
    cat >"$work/etcd.yaml" <<YAML
settings:
  nodeName: etcd-test
  listen: 127.0.0.1:7445
  cgroupParent: $group
store:
  engine: $1
plugins:
  - name: etcd
    options:
      endpoints: [http://127.0.0.1:23790]
  - name: api
  - name: controllers
  - name: scheduler
YAML
}
start_on_etcd() {
    rm -f "$work/etcd.ready"
    mkfifo "$work/etcd.ready"
    "$hostd" run --config "$work/etcd.yaml" --data "$work/etcd-hostd" >"$work/etcd.ready" 2>>"$work/etcd-hostd.log" &
    etcd_hostd=$!
    read -rt 120 _ <"$work/etcd.ready" || { echo "hostd on etcd did not become ready" >&2; tail -n 5 "$work/etcd-hostd.log" >&2; }
}
end_on_etcd() { kill "-$1" "$etcd_hostd" 2>/dev/null; wait "$etcd_hostd" 2>/dev/null || true; }
on_etcd() { kubectl --kubeconfig "$work/etcd-hostd/admin.kubeconfig" "$@"; }
eventually "etcd answers" 20 contains '"health":"?true' curl -s http://127.0.0.1:23790/health
etcd_config etcd
start_on_etcd
check "the engine is etcd" contains 'etcd' "$hostd" store status --data "$work/etcd-hostd"
check "an object is stored" on_etcd create configmap one --from-literal=a=1
check "a deployment brings pods" on_etcd create deployment web --image=hostd.dev/example:latest --replicas=3
eventually "through watches on etcd" 20 is 3 sh -c "kubectl --kubeconfig $work/etcd-hostd/admin.kubeconfig get pods -o name | wc -l"
end_on_etcd KILL
start_on_etcd
check "what was acknowledged is there after kill -9" is 1 on_etcd get configmap one -o 'jsonpath={.data.a}'
version=$(on_etcd get configmap one -o 'jsonpath={.metadata.resourceVersion}')
refuse "no move while hostd runs" 'use|locked' "$hostd" store migrate --config "$work/etcd.yaml" --data "$work/etcd-hostd" --to embedded --from etcd
end_on_etcd TERM
check "the state moves to the embedded engine" contains 'moved [0-9]+ keys .* from etcd to embedded' "$hostd" store migrate --config "$work/etcd.yaml" --data "$work/etcd-hostd" --to embedded
refuse "a store that is there is not written over" 'has a store already' "$hostd" store migrate --config "$work/etcd.yaml" --data "$work/etcd-hostd" --to embedded
etcd_config embedded
start_on_etcd
check "the object came along" is "1 $version" on_etcd get configmap one -o 'jsonpath={.data.a} {.metadata.resourceVersion}'
check "and can be changed" on_etcd patch configmap one --type merge -p '{"data":{"a":"2"}}'
end_on_etcd TERM
refuse "etcd has the old state" 'has keys already' "$hostd" store migrate --config "$work/etcd.yaml" --data "$work/etcd-hostd" --to etcd
sed -i 's|endpoints: .*|&\n      prefix: /again/|' "$work/etcd.yaml"
check "back under another prefix" contains 'from embedded to etcd' "$hostd" store migrate --config "$work/etcd.yaml" --data "$work/etcd-hostd" --to etcd
sed -i 's|engine: .*|engine: etcd|' "$work/etcd.yaml"
start_on_etcd
check "with the change" is 2 on_etcd get configmap one -o 'jsonpath={.data.a}'
check "revisions only grow" test "$(on_etcd get configmap one -o 'jsonpath={.metadata.resourceVersion}')" -gt "$version"
end_on_etcd TERM
kill "$etcd_pid"
wait "$etcd_pid" 2>/dev/null || true
