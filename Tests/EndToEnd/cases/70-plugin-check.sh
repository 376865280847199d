# Every plugin of the tree, and the example in C, keeps every rule of docs/abi.md.
kit_checks() {
    "$hostd" plugin check "$@" >"$work/check.txt" 2>&1 || { grep -vE '^  ok ' "$work/check.txt"; return 1; }
}
for plugin in "$build"/plugins/*.so; do
    name=$(basename "$plugin" .so)
    [ "$name" = etcd ] || check "$name keeps the rules of the ABI" kit_checks --image "$build/example-image.tar" "$plugin"
done
# The kit has a network of its own: etcd is reached through the file system.
mkdir "$work/etcd-check"
(cd "$work/etcd-check" && exec etcd --name m --data-dir data --log-level error --listen-client-urls unix://localhost:1 \
    --advertise-client-urls unix://localhost:1 --listen-peer-urls http://127.0.0.1:23801 \
    --initial-advertise-peer-urls http://127.0.0.1:23801 --initial-cluster m=http://127.0.0.1:23801 >log 2>&1) &
etcd_pid=$!
eventually "etcd answers" 20 contains health curl -s --unix-socket "$work/etcd-check/localhost:1" http://localhost/health
check "etcd keeps the rules of the ABI" kit_checks "$build/plugins/etcd.so" \
    --options "{\"endpoints\":[\"unix://$work/etcd-check/localhost:1\"],\"timeoutSeconds\":2}"
kill "$etcd_pid"
wait "$etcd_pid" 2>/dev/null || true
"$root/examples/plugins/hello-c/build" "$work/hello.so"
check "the example in C keeps the rules of the ABI" kit_checks "$work/hello.so"
cc -w -shared -fPIC -fvisibility=hidden -pthread -I"$build/include" -DFAULT=POSITIVE_STATUS -o "$work/broken.so" \
    "$root/Tests/Plugins/broken/broken.c"
refuse "a plugin that breaks a rule is told which" 'Rule 9 \(Statuses\): com.example.probe/1 echo' \
    "$hostd" plugin check "$work/broken.so"
