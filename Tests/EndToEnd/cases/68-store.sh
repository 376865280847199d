# The state as an operator sees it: who changed what when, the past, backups, damage, encryption, and a full disk.
store_data=$work/store-hostd
store_hostd=
store_config() {
    cat >"$work/store.yaml" <<YAML
settings:
  nodeName: store-test
  listen: 127.0.0.1:7446
  cgroupParent: $group
store:
  options: {segmentBytes: 65536}
  history: {time: 10m, size: 32MiB}
$1
plugins:
  - name: api
YAML
}
start_store() {
    rm -f "$work/store.ready"
    mkfifo "$work/store.ready"
    "$hostd" run --config "$work/store.yaml" --data "$store_data" >"$work/store.ready" 2>>"$work/store-hostd.log" &
    store_hostd=$!
    read -rt 120 _ <"$work/store.ready" || { echo "hostd did not become ready" >&2; tail -n 5 "$work/store-hostd.log" >&2; }
}
end_store() { kill "-${1:-TERM}" "$store_hostd" 2>/dev/null; wait "$store_hostd" 2>/dev/null || true; }
kc() { kubectl --kubeconfig "$store_data/admin.kubeconfig" "$@"; }
on_store() { "$hostd" "$@" --data "$store_data"; }
exits() { local wanted=$1 got=0; shift; "$@" >/dev/null 2>&1 || got=$?; [ "$got" = "$wanted" ] || { echo "exit code $got, not $wanted"; return 1; }; }
version_of() { kc get configmap "$1" -o 'jsonpath={.metadata.resourceVersion}'; }

store_config "  encryption: {resources: [secrets], keyFile: $work/keys}"
echo "k1 $(head -c 32 /dev/urandom | base64)" >"$work/keys"
chmod 644 "$work/keys"
mkdir -p "$store_data"
refuse "a key file that others may read is refused" "chmod 600" "$hostd" run --config "$work/store.yaml" --data "$store_data"
chmod 600 "$work/keys"
start_store

# Who, what, when.
hour=$(date -u +%Y-%m-%dT%H:)
check "an object is made" kc create configmap shop --from-literal=color=red
first=$(version_of shop)
check "and changed" kc patch configmap shop --type merge -p '{"data":{"color":"blue"}}' --field-manager painter
check "the history names user and field manager" contains "kubernetes-admin \(painter\)" on_store store history configmaps/default/shop
check "and what changed" contains '~ .data.color: "red" → "blue"' on_store store history configmaps/default/shop
check "and when" contains "$hour|$(date -u +%Y-%m-%dT%H:)" on_store store history configmaps/default/shop
check "as JSON" contains '"manager":"painter"' on_store store history configmaps/default/shop --output json
refuse "of a key that is not there it says so" "does not exist" on_store store history configmaps/default/none
check "a record is dumped" contains '"color":"blue"' on_store store dump configmaps/default/shop
check "or all under a prefix" contains '"key":"namespaces//default"' on_store store dump namespaces/
check "at a revision" contains '"color":"red"' on_store store dump configmaps/default/shop --revision "$first"
check "a key that is not there gives 1" exits 1 on_store store dump configmaps/default/none

# The past.
check "an object as it was at a revision" contains '"color": *"red"' on_store at "$first" get configmap shop -o yaml
check "as it is now" contains '"color":"blue"' on_store at 0s get configmaps shop -o json
check "a list of the past" contains "^default +shop" on_store at 0s get configmaps
refuse "a time before the history is refused" "no longer kept" on_store at 2020-01-02T03:04:05Z get pods
refuse "rubbish is no time" "is not a time" on_store at yesterday get pods
check "the API shows the past" contains '"color":"red"' \
    kc get --raw "/api/v1/namespaces/default/configmaps?resourceVersion=$first&resourceVersionMatch=Exact"
check "one object of the past by a field selector" contains '"color":"red"' \
    kc get --raw "/api/v1/namespaces/default/configmaps?resourceVersion=$first&resourceVersionMatch=Exact&fieldSelector=metadata.name%3Dshop"
refuse "a future revision times out as in Kubernetes" "Too large resource version" \
    kc get --raw "/api/v1/namespaces/default/configmaps?resourceVersion=99999999&resourceVersionMatch=Exact"

# Encryption.
check "a secret is made" kc create secret generic pass --from-literal=word=the-word-that-nobody-finds
check "and read" contains "$(printf the-word-that-nobody-finds | base64)" kc get secret pass -o yaml
check "a backup is written" on_store store backup "$work/backup"
secret_text=$(printf the-word-that-nobody-finds | base64)
refuse "nothing of it is plain on disk" "^$" grep -rqaF "$secret_text" "$store_data/store" "$work/backup"
check "what is not encrypted is" grep -rqaF '"color":"blue"' "$store_data/store"
echo "k2 $(head -c 32 /dev/urandom | base64)
$(cat "$work/keys")" >"$work/keys.new"
chmod 600 "$work/keys.new"
mv "$work/keys.new" "$work/keys"
check "a reload takes a new key" on_store reload
check "and no file needs the old one" contains 'neededKeys +\["k2"\]' on_store store status
check "the secret is still there" contains "$secret_text" kc get secret pass -o yaml
end_store
check "the store on disk is sound" on_store store verify --config "$work/store.yaml"
check "so is the backup" on_store store verify "$work/backup" --config "$work/store.yaml"
check "dump reads files too" contains '"color":"blue"' on_store store dump configmaps/default/shop --config "$work/store.yaml"
cp "$work/keys" "$work/keys.all"
echo "k3 $(head -c 32 /dev/urandom | base64)" >"$work/keys"
refuse "a missing key is named" "the key k2, which" "$hostd" run --config "$work/store.yaml" --data "$store_data"
cp "$work/keys.all" "$work/keys"

# Damage.
segment=$(ls "$store_data"/store/log-* | head -n 1)
cp "$segment" "$work/segment"
printf '\377\377\377\377' | dd of="$segment" bs=1 seek=4200 conv=notrunc status=none
refuse "damage stops the start and names the command" "offset [0-9]+.*hostd store restore BACKUP --data $store_data --replace" \
    "$hostd" run --config "$work/store.yaml" --data "$store_data"
refuse "verify names file and offset" "$(basename "$segment"): offset [0-9]+" on_store store verify --config "$work/store.yaml"
check "with exit code 4" exits 4 on_store store verify --config "$work/store.yaml"
refuse "restore does not replace a store unasked" "with --replace" on_store store restore "$work/backup" --config "$work/store.yaml"
cp "$work/backup" "$work/bad"
printf '\377' | dd of="$work/bad" bs=1 seek=6000 conv=notrunc status=none
refuse "nor from a damaged copy" "nothing was changed" on_store store restore "$work/bad" --replace --config "$work/store.yaml"
check "the command of the message brings it back" contains "is kept in" on_store store restore "$work/backup" --replace --config "$work/store.yaml"
start_store
check "everything of the backup is there" contains "$secret_text" kc get secret pass -o yaml
refuse "restore wants hostd stopped" "." on_store store restore "$work/backup" --replace
end_store

# A full disk.
rm -rf "$store_data"
mkdir -p "$store_data"
mount -t tmpfs -o size=24m tmpfs "$store_data"
store_config ""
start_store
head -c 200000 /dev/zero | tr '\0' 'x' >"$work/large"
full=
for number in $(seq 1 200); do
    full=$(kc create configmap "large-$number" --from-file="$work/large" --dry-run=client -o json | kc create -f - 2>&1) || break
    full=
done
check "a full disk is told with status, reason and bytes free" grep -qE "disk is full.*bytes free" <<<"$full"
check "as Kubernetes tells it" grep -q "Error from server (InsufficientStorage)" <<<"$full"
check "reads go on" kc get configmap large-1 -o name
mount -o remount,size=256m "$store_data"
eventually "and writes, when there is room" 20 kc create configmap after --from-file="$work/large"
end_store
umount -l "$store_data"
