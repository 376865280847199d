# A role that hostd has never heard of, published by a plugin in C and consumed by one in Rust: in hostd's own process, each
# in one of its own, and one of each.
use_rust
things=$work/things
mkdir -p "$things"
chmod o+x "$work" # Plugins with a process of their own have a user of their own.
check "build the provider" "$root/examples/plugins/thing-provider/build" "$things/thing-provider.so"
check "build the consumer" "$root/examples/plugins/thing-consumer/build" "$things/thing-consumer.so"

# write_things PROVIDER CONSUMER GRANTS: with such isolation.
write_things() {
    rm -rf "$things/data"
    cat >"$things/hostd.yaml" <<EOF
plugins:
  - {name: thing-consumer, library: ./thing-consumer.so, isolation: $2${3:+, grants: [$3]}}
  - {name: thing-provider, library: ./thing-provider.so, isolation: $1}
EOF
}
run_things() {
    write_things "$@"
    rm -f "$things/ready" && mkfifo "$things/ready"
    "$hostd" run --config "$things/hostd.yaml" --data "$things/data" >"$things/ready" 2>"$things/log" &
    things_hostd=$!
    read -rt 120 _ <"$things/ready" || true
}
end_things() { kill "$things_hostd" && wait "$things_hostd" || true; }
thing() { "$hostd" call --data "$things/data" "$@"; }

for isolation in "shared shared" "process process" "shared process" "process shared"; do
    read -r of_provider of_consumer <<<"$isolation"
    name="provider $of_provider, consumer $of_consumer"
    grants=
    [ "$of_consumer" = shared ] || grants='"role:com.example.thing/1"'
    run_things "$of_provider" "$of_consumer" "$grants"
    equal "$name: without a value" "Hello, world." thing com.example.greeter/1 greet world
    check "$name: put by name" thing com.example.thing/1 put --list '["greeting", "Servus"]'
    equal "$name: get by name" Servus thing com.example.thing/1 get greeting
    equal "$name: the consumer sees the value" "Servus, world." thing com.example.greeter/1 greet world
    eventually "$name: and was told of the change" 5 is '{"number":1}' thing com.example.greeter/1 changes
    refuse "$name: an error keeps its code and words" 'NOT_FOUND: nothing is kept under that name' thing com.example.thing/1 get nothing
    refuse "$name: an argument that is refused" 'INVALID_ARGUMENT: a name is 1 to 256 bytes' thing com.example.thing/1 put --list '["", ""]'
    end_things
done
write_things shared process ""
refuse "without the grant the consumer is told which one to add" 'role:com\.example\.thing/1' \
    timeout 20 "$hostd" run --config "$things/hostd.yaml" --data "$things/data"
