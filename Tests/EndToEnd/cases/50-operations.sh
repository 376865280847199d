# hostd's own commands and refusals.
check "plugin list" contains 'scheduler +[0-9.]+ ' "$hostd" plugin list
check "plugin list as seen in roles" contains 'hostd\.runtime/1' "$hostd" plugin list
refuse "an unknown option" 'unknown option' "$hostd" run --config "$work/hostd.yaml" --data "$work/other" --nonsense
refuse "the data directory is locked" 'locked|in use' "$hostd" run --config "$work/hostd.yaml" --data "$data"
mkdir -p "$work/other"
check "the port is in use: one clear message" sh -c "$hostd run --config $work/hostd.yaml --data $work/other 2>&1 | grep -E '127\.0\.0\.1:6443.*(in use|used)'"
check "an allocator that was not measured is told of" sh -c "MALLOC_CONF=narenas:1 $hostd run --config $work/hostd.yaml --data $work/other 2>&1 | grep 'not allocated by jemalloc'"
sed 's/^plugins:/plugins:\n  - name: absent\n    library: absent.so/' "$work/hostd.yaml" >"$work/bad.yaml"
refuse "a missing plugin is named" 'absent\.so' "$hostd" run --config "$work/bad.yaml" --data "$work/bad-data" --listen 127.0.0.1:7443
printf 'settings:\n  nodeNam: x\n' >"$work/typo.yaml"
refuse "a typo in the config names file, line and key" 'typo\.yaml:2.*nodeNam' "$hostd" run --config "$work/typo.yaml" --data "$work/typo-data"
refuse "no image archive" 'No such file|does not exist|cannot open' "$hostd" image load "$work/none.tar"
head -c 100000 "$build/example-image.tar" >"$work/truncated.tar"
refuse "a truncated image" 'truncated|ends|unexpected' "$hostd" image load "$work/truncated.tar"
check "build the plugin in C with nothing but the header" "$root/examples/plugins/hello-c/build" "$work/hello.so"
sed "s|library: .*hello.so|library: $work/hello.so|" "$root/config/hello.yaml" >"$work/hello.yaml"
mkfifo "$work/hello.ready"
"$hostd" run --config "$work/hello.yaml" --data "$work/hello" --listen 127.0.0.1:7444 >"$work/hello.ready" 2>"$work/hello.log" &
hello=$!
read -rt 120 _ <"$work/hello.ready" || true
check "a third-party plugin serves a path of the API" contains 'hello|Hello' kubectl --kubeconfig "$work/hello/admin.kubeconfig" get --raw /hello
kill "$hello"; wait "$hello" || true
check "the web application is deleted" kubectl delete -f "$root/examples/web.yaml" --timeout=180s
eventually "and its pods are gone" 60 is "" kubectl get pods -l app=web -o name
