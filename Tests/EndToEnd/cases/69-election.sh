# Two hostd on one etcd: the controllers of one work, the other stands by, and takes over after kill -9 and after a clean end.
election_data=$work/election-etcd
etcd --name e --data-dir "$election_data" --listen-client-urls http://127.0.0.1:23791 \
    --advertise-client-urls http://127.0.0.1:23791 --listen-peer-urls http://127.0.0.1:23801 \
    --initial-advertise-peer-urls http://127.0.0.1:23801 --initial-cluster e=http://127.0.0.1:23801 \
    --log-level error >"$work/election-etcd.log" 2>&1 &
election_etcd=$!
declare -A plane
# A lease that a leader gives back is worth nothing, however long it is; one that was killed has to run out.
start_plane() { # NAME PORT LEASE-SECONDS
    cat >"$work/plane-$1.yaml" <<YAML
settings:
  nodeName: plane-$1
  listen: 127.0.0.1:$2
  cgroupParent: $group
store:
  engine: etcd
plugins:
  - name: etcd
    options:
      endpoints: [http://127.0.0.1:23791]
  - name: api
  - name: controllers
    options:
      leaseSeconds: $3
  - name: scheduler
YAML
    rm -f "$work/plane-$1.ready"
    mkfifo "$work/plane-$1.ready"
    "$hostd" run --config "$work/plane-$1.yaml" --data "$work/plane-$1" >"$work/plane-$1.ready" 2>>"$work/plane-$1.log" &
    plane[$1]=$!
    read -rt 120 _ <"$work/plane-$1.ready" || { echo "hostd $1 did not become ready" >&2; tail -n 5 "$work/plane-$1.log" >&2; }
}
end_plane() { kill "-$2" "${plane[$1]}" 2>/dev/null; wait "${plane[$1]}" 2>/dev/null || true; }
on_plane() { local name=$1; shift; kubectl --kubeconfig "$work/plane-$name/admin.kubeconfig" "$@"; }
# Tokens under which the controllers of a hostd led, as its log has them.
tokens() { sed -n 's/.*controllers: leading lease=.* token=\([0-9]*\).*/\1/p' "$work/plane-$1.log"; }
leads() { [ -n "$(tokens "$1")" ]; }
terms() { tokens "$1" | wc -l; }
differs() { local old=$1; shift; [ "$("$@")" != "$old" ]; }
pods_of() { on_plane "$1" get pods -l "app=$2" -o name | wc -l; }
holder() { on_plane "$1" get lease -n kube-system hostd-controllers -o 'jsonpath={.spec.holderIdentity}'; }
eventually "etcd answers" 20 contains '"health":"?true' curl -s http://127.0.0.1:23791/health
start_plane one 7451 5
eventually "the first leads" 20 leads one
start_plane two 7452 600
check "a deployment through the one that follows" on_plane two create deployment web --image=hostd.dev/example:latest --replicas=5
eventually "brings its pods" 20 is 5 pods_of two web
check "the one that follows has not led" is "" tokens two
first=$(holder two)
check "the lease names a holder" test -n "$first"
end_plane one KILL
eventually "the other leads after kill -9, when the lease has run out" 15 leads two
eventually "and the lease says so" 10 differs "$first" holder two
check "work goes on" on_plane two scale deployment web --replicas=7
eventually "through the new leader" 20 is 7 pods_of two web
start_plane one 7451 5
check "who comes back follows" is 1 terms one
end_plane two TERM
eventually "after a clean end it leads at once, without waiting for the lease" 10 is 2 terms one
check "and works" on_plane one scale deployment web --replicas=3
eventually "no pod too many, none too few" 20 is 3 pods_of one web
all=$({ tokens one; tokens two; } | sort -n)
check "no token twice" is "$all" sort -nu <<<"$all"
check "tokens in the order of the terms" is "$(tokens one | head -n 1) $(tokens two) $(tokens one | tail -n 1)" paste -sd' ' <<<"$all"
end_plane one TERM
kill "$election_etcd"
wait "$election_etcd" 2>/dev/null || true
