# What the end-to-end cases are written with.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build
hostd=$build/bin/hostd
work=$(mktemp -d /tmp/hostd-e2e-XXXXXX)
data=$work/data
group=$HOSTD_END_TO_END_GROUP
export HOME=$work/home KUBECONFIG=$data/admin.kubeconfig HOSTD_DATA=$data
mkdir -p "$HOME"
# What `eventually` is told of holds on a quiet machine; one that is busy or slow has so many times as long.
patience=${HOSTD_END_TO_END_PATIENCE:-4}
passed=0
failed=0
hostd_pid=

ip link set lo up
mount --make-rprivate /

finish() {
    status=$?
    [ -n "$hostd_pid" ] && kill -KILL "$hostd_pid" 2>/dev/null
    if { [ "$status" != 0 ] || [ "$failed" != 0 ]; }; then
        echo "--- last lines of hostd's log" >&2
        tail -n "${LOG_LINES:-60}" "$work/hostd.log" >&2 || true
    fi
    if [ "${KEEP:-}" = 1 ] && [ "$failed" != 0 ]; then echo "kept: $work" >&2; return; fi
    # Mounts first, so that nothing of a volume is removed through them.
    awk -v work="$work/" 'index($2, work) == 1 {print $2}' /proc/mounts | tac | while read -r place; do
        umount -l "$(printf '%b' "$place")" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap finish EXIT

# pass NAME / fail NAME REASON
pass() { passed=$((passed + 1)); printf '  ok    %s\n' "$1"; }
fail_check() { failed=$((failed + 1)); printf '  FAIL  %s\n%s\n' "$1" "$(printf '%s' "$2" | sed 's/^/        /' | tail -n 20)"; }

# check NAME COMMAND…: the command succeeds.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then pass "$name"; else fail_check "$name" "$* ended with $?: $output"; fi
}
# refuse NAME PATTERN COMMAND…: the command fails and says PATTERN (an extended regular expression).
refuse() {
    local name=$1 pattern=$2 output
    shift 2
    if output=$("$@" 2>&1); then fail_check "$name" "$* succeeded: $output"; return; fi
    if grep -qE -- "$pattern" <<<"$output"; then pass "$name"; else fail_check "$name" "no «$pattern» in: $output"; fi
}
# equal NAME WANTED COMMAND…: the command's standard output is exactly WANTED.
equal() {
    local name=$1 wanted=$2 output
    shift 2
    output=$("$@" 2>"$work/stderr") || true
    if [ "$output" = "$wanted" ]; then pass "$name"; else fail_check "$name" "wanted «$wanted», got «$output» $(cat "$work/stderr")"; fi
}
# eventually NAME SECONDS COMMAND…: the command succeeds within so many seconds, times $patience.
eventually() {
    local name=$1 limit=$(($2 * patience)) output
    shift 2
    local end=$((SECONDS + limit))
    while :; do
        if output=$("$@" 2>&1); then pass "$name"; return; fi
        if [ "$SECONDS" -ge "$end" ]; then fail_check "$name" "$* did not succeed in $limit s: $output"; return; fi
        read -rt 0.2 <> <(:) || true
    done
}
contains() {
    local pattern=$1 output
    shift
    output=$("$@" 2>&1) || true
    grep -qE -- "$pattern" <<<"$output" || { printf 'no «%s» in: %s\n' "$pattern" "$output"; return 1; }
}
is() { local wanted=$1 output; shift; output=$("$@") && { [ "$output" = "$wanted" ] || { echo "got «$output»"; return 1; }; }; }
jsonpath() { kubectl get "$1" "$2" -o "jsonpath=$3" "${@:4}"; }

write_config() {
    sed -e "s|^\( *cgroupParent:\).*|\1 $group|" "$root/config/hostd.yaml" >"$work/hostd.yaml"
    grep -q "cgroupParent: $group" "$work/hostd.yaml" || { echo "config/hostd.yaml has no cgroupParent to set" >&2; exit 1; }
}

# start_hostd [OPTIONS]: returns when hostd says that it is ready.
start_hostd() {
    [ -e "$work/hostd.yaml" ] || write_config
    rm -f "$work/ready"
    mkfifo "$work/ready"
    "$hostd" run --config "$work/hostd.yaml" --data "$data" "$@" >"$work/ready" 2>>"$work/hostd.log" &
    hostd_pid=$!
    exec {ready}<"$work/ready"
    if ! read -rt 120 -u "$ready" ready_line; then
        echo "hostd did not become ready" >&2
        exit 1
    fi
}
# stop_hostd [SIGNAL]: its exit status is in $hostd_status.
stop_hostd() {
    kill "-${1:-TERM}" "$hostd_pid"
    wait "$hostd_pid" 2>/dev/null && hostd_status=0 || hostd_status=$?
    exec {ready}<&-
    hostd_pid=
}
load_image() {
    "$hostd" image load "$build/example-image.tar" >>"$work/hostd.log" 2>&1 || { echo "the example image could not be loaded" >&2; exit 1; }
}
# client_python PACKAGE: the Python that has a package: HOSTD_TEST_PYTHON, the one that script/test-clients has made, python3.
client_python() {
    local python
    for python in ${HOSTD_TEST_PYTHON:-"$root/.tools/python/bin/python" python3}; do
        if "$python" -c "import $1" 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}
# count_lines NAME COMMAND…: runs a program that prints checks of its own, as lines that begin with ok or FAIL, and counts them.
count_lines() {
    local name=$1 status=0 log=$work/lines good bad
    shift
    "$@" >"$log" 2>&1 || status=$?
    cat "$log"
    good=$(grep -c '^  ok ' "$log") || true
    bad=$(grep -c '^  FAIL ' "$log") || true
    passed=$((passed + good))
    failed=$((failed + bad))
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then fail_check "$name" "it ended with $status"; fi
    if [ "$good" = 0 ] && [ "$bad" = 0 ]; then fail_check "$name" "it checked nothing"; fi
}
# Puts a Rust that rustup has installed for this user on PATH; HOME is another one here.
use_rust() {
    local home
    home=$(getent passwd "$(id -u)" | cut -d: -f6)
    [ ! -d "$home/.rustup" ] || export RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup}
    export PATH=$PATH:$home/.cargo/bin
}
