# hostd plugin new: a project of every role in every language is written, builds, passes the checker, and runs.
use_rust
projects=$work/projects
mkdir -p "$projects"
export SWIFT_SCRATCH=$work/swift-scratch # So that PluginKit is compiled once for all.
new_roles=(scheduler runtime network volume device store api-extension com.example.thing/1)

# make_project LANGUAGE ROLE: its name is LANGUAGE-ROLE.
project_name() { tr './' '--' <<<"$1-$2"; }
make_project() {
    local name
    name=$(project_name "$1" "$2")
    "$hostd" plugin new --role "$2" --language "$1" --name "$name" "$projects/$name" >/dev/null && "$projects/$name/build"
}
exports_only_entry() {
    [ "$(nm -D --defined-only "$1" | awk '$2 ~ /^[A-Z]$/ {print $3}' | sort -u)" = hostd_plugin_entry ] || nm -D --defined-only "$1"
}

refuse "an unknown role names those there are" 'unknown role schedular; there are api-extension, device, network, .*did you mean scheduler' \
    "$hostd" plugin new --role schedular --language c --name x "$projects/x"
refuse "an unknown language names those there are" 'c, swift, rust' "$hostd" plugin new --role store --language go --name x "$projects/x"
refuse "hostd's own domain takes no new roles" 'unknown role hostd.thing/1' "$hostd" plugin new --role hostd.thing/1 --language c --name x "$projects/x"
for name in X 1a a- "$(printf 'a%.0s' {1..64})"; do
    refuse "the name ${name:0:10} is refused" 'is no name for a plugin' "$hostd" plugin new --role store --language c --name "$name" "$projects/x"
done
refuse "a missing option is named" '\-\-name is missing' "$hostd" plugin new --role store --language c "$projects/x"
check "nothing was written" test ! -e "$projects/x"
mkdir -p "$projects/full" && touch "$projects/full/file"
refuse "a directory that is not empty is refused" 'is not empty' "$hostd" plugin new --role store --language c --name x "$projects/full"
check "and left alone" test "$(ls -A "$projects/full")" = file

printf 'plugins:\n' >"$projects/all.yaml"
for language in c rust swift; do
    for role in "${new_roles[@]}"; do
        name=$(project_name "$language" "$role")
        check "$language, $role: builds" make_project "$language" "$role"
        check "$language, $role: exports its entry alone" exports_only_entry "$projects/$name/$name.so"
        check "$language, $role: keeps the rules" "$hostd" plugin check "$projects/$name/$name.so"
        printf '  - name: %s\n    library: ./%s/%s.so\n' "$name" "$name" "$name" >>"$projects/all.yaml"
    done
done
mkfifo "$projects/ready"
"$hostd" run --config "$projects/all.yaml" --data "$projects/data" >"$projects/ready" 2>"$projects/log" &
new_hostd=$!
read -rt 120 _ <"$projects/ready" || true
active_plugins() { "$hostd" plugin list --data "$projects/data" --output json | jq -r '[.plugins[] | select(.state == "active" and .name != "embedded") | .name] | length'; }
equal "all of them are active in one hostd" $((3 * ${#new_roles[@]})) active_plugins
for language in c rust swift; do
    thing=$language-com-example-thing-1
    check "$language: its own role takes a value" "$hostd" call --data "$projects/data" --plugin "$thing" com.example.thing/1 put --list '["color", "blue"]'
    equal "$language: and gives it back" blue "$hostd" call --data "$projects/data" --plugin "$thing" com.example.thing/1 get color
done
kill "$new_hostd"
wait "$new_hostd" && new_status=0 || new_status=$?
equal "and it stops in good order" 0 echo "$new_status"

# The API's objects in a store from a template, across a restart.
for language in c rust swift; do
    store_name=$language-store
    run_store() {
        rm -f "$projects/ready" && mkfifo "$projects/ready"
        "$hostd" run --config "$projects/$store_name/hostd.yaml" --data "$projects/$store_name/data" --listen 127.0.0.1:7455 >"$projects/ready" 2>"$projects/log" &
        new_hostd=$!
        read -rt 120 _ <"$projects/ready" || true
    }
    stored() { kubectl --kubeconfig "$projects/$store_name/data/admin.kubeconfig" "$@"; }
    run_store
    check "$store_name: hostd stores an object in it" stored create configmap kept --from-literal=color=blue
    check "$store_name: it can be changed" stored patch configmap kept --type merge -p '{"data":{"color":"green"}}'
    kill "$new_hostd" && wait "$new_hostd" || true
    run_store
    equal "$store_name: it is there after a restart" green stored get configmap kept -o 'jsonpath={.data.color}'
    kill "$new_hostd" && wait "$new_hostd" || true
done
rm -rf "$SWIFT_SCRATCH"
