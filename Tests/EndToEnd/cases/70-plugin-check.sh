# Every plugin of the tree, and the example in C, keeps every rule of docs/abi.md.
kit_checks() {
    "$hostd" plugin check "$1" >"$work/check.txt" 2>&1 || { grep -vE '^  ok ' "$work/check.txt"; return 1; }
}
for plugin in "$build"/plugins/*.so; do
    check "$(basename "$plugin" .so) keeps the rules of the ABI" kit_checks "$plugin"
done
"$root/examples/plugins/hello-c/build" "$work/hello.so"
check "the example in C keeps the rules of the ABI" kit_checks "$work/hello.so"
cc -w -shared -fPIC -fvisibility=hidden -pthread -I"$build/include" -DFAULT=POSITIVE_STATUS -o "$work/broken.so" \
    "$root/Tests/Plugins/broken/broken.c"
refuse "a plugin that breaks a rule is told which" 'Rule 9 \(Statuses\): com.example.probe/1 echo' \
    "$hostd" plugin check "$work/broken.so"
