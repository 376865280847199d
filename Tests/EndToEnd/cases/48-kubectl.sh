# One script of kubectl's verbs, with every kubectl on the machine at once; those that need running pods with the oldest and
# the newest alone, because each costs seconds. Draining by a budget is in 46-disruption, streams under load in 47-streams.

# verbs CLIENT NAMESPACE MINOR: what needs no pods.
verbs() {
    local client=$1 space=$2 minor=$3 k="$1 -n $2" place=$work/verbs-$2
    mkdir -p "$place"
    export HOME=$place
    since() { [ "$minor" -ge "$1" ]; }

    check "create namespace" $client create namespace "$space"
    check "create configmap" $k create configmap one --from-literal=a=1 --from-literal=b=2
    check "create secret" $k create secret generic hidden --from-literal=password=x
    check "create secret tls is checked" contains 'PEM|tls' $k create secret tls bad --cert=/dev/null --key=/dev/null
    check "create serviceaccount" $k create serviceaccount robot
    check "create role" $k create role reader --verb=get,list --resource=pods
    check "create rolebinding" $k create rolebinding reader --role=reader --serviceaccount="$space:robot"
    check "create clusterrole, dry" $client create clusterrole "$space" --verb=get --resource=nodes --dry-run=server
    check "create quota" $k create quota small --hard=configmaps=10
    check "create service" $k create service clusterip back --tcp=80:8080
    check "create ingress" $k create ingress front --rule=example.com/*=back:80
    check "create deployment" $k create deployment web --image=hostd.dev/example:latest --replicas=0
    check "create priorityclass, dry" $client create priorityclass "$space" --value=5 --dry-run=server
    check "create job, dry" $k create job task --image=hostd.dev/example:latest --dry-run=server
    if since 21; then
        check "create cronjob" $k create cronjob later --schedule='0 0 1 1 *' --image=hostd.dev/example:latest
        check "create job from cronjob, dry" $k create job task --from=cronjob/later --dry-run=server
        check "create poddisruptionbudget" $k create pdb web --selector=app=web --min-available=1
    fi
    if since 24; then check "create token" contains '^[^.]+[.][^.]+[.][^.]+$' $k create token robot; fi
    check "run, dry" $k run box --image=hostd.dev/example:latest --dry-run=server
    check "expose" $k expose deployment web --port=80 --name=web

    local form
    printf '{{range .items}}{{.metadata.name}} {{end}}' >"$place/template"
    printf 'NAME DATA\nmetadata.name data.a\n' >"$place/columns"
    printf '{.items[*].metadata.name}' >"$place/path"
    for form in name wide json yaml "jsonpath={.items[*].metadata.name}" "jsonpath-as-json={.items[*].metadata.name}" \
        "jsonpath-file=$place/path" "custom-columns=N:.metadata.name" "custom-columns-file=$place/columns" \
        'go-template={{range .items}}{{.metadata.name}} {{end}}' "go-template-file=$place/template"; do
        check "get -o ${form%%=*}" contains one $k get configmaps -o "$form"
    done
    check "get --show-labels" contains 'app=web' $k get deployments --show-labels
    check "get -L" contains 'APP' $k get deployments -L app
    check "get --sort-by" $k get configmaps --sort-by=.metadata.creationTimestamp
    check "get by field" contains one $k get configmaps --field-selector metadata.name=one
    check "get by label" contains web $k get deployments -l app=web,app!=db
    check "get by pages" contains one $k get configmaps --chunk-size=1
    check "get of several kinds" contains 'deployment.apps/web' $k get deployments,services,secrets -o name
    check "get all" contains 'deployment.apps/web' $k get all
    check "get everywhere" contains "$space" $client get configmaps -A
    check "get --raw" contains APIGroupList $client get --raw /apis
    check "get --watch ends with its time" contains one timeout 60 $k get configmaps --watch --request-timeout=3s
    check "describe" contains 'Name: +web' $k describe deployment web
    check "describe service" contains 'Selector: +app=web' $k describe service web
    check "describe quota" contains 'configmaps' $k describe quota small
    check "describe node" contains 'Roles:' $client describe nodes

    cat >"$place/manifest.yaml" <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, labels: {app: applied}}
data: {a: one}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: applied, labels: {app: applied}}
spec:
  replicas: 0
  selector: {matchLabels: {app: applied}}
  template:
    metadata: {labels: {app: applied}}
    spec:
      containers: [{name: main, image: "hostd.dev/example:latest", env: [{name: A, value: one}], ports: [{containerPort: 80}]}]
YAML
    sed 's/one/two/' "$place/manifest.yaml" >"$place/changed.yaml"
    refuse "diff before" 'name: applied' $k diff -f "$place/manifest.yaml"
    check "apply" contains 'created' $k apply -f "$place/manifest.yaml"
    check "diff after" $k diff -f "$place/manifest.yaml"
    check "apply again" contains 'unchanged' $k apply -f "$place/manifest.yaml"
    check "apply, dry" contains 'configured .server dry run' $k apply --dry-run=server -f "$place/changed.yaml"
    refuse "diff of a change" '\+.*two' $k diff -f "$place/changed.yaml"
    check "apply a change" contains 'configured' $k apply -f "$place/changed.yaml"
    check "view-last-applied" contains two $k apply view-last-applied -f "$place/manifest.yaml"
    check "set-last-applied" $k apply set-last-applied -f "$place/changed.yaml"
    check "apply --server-side" contains 'serverside-applied' $k apply --server-side --force-conflicts -f "$place/changed.yaml"
    if since 27; then
        # A pod that was applied by the client, and is then applied on the server, keeps what admission has given it.
        printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: moved}\nspec: {containers: [{name: c, image: "example.com/none:1"}]}\n' >"$place/moved.yaml"
        check "apply a pod" $k apply -f "$place/moved.yaml"
        check "apply it on the server" $k apply --server-side -f "$place/moved.yaml"
        check "once more" $k apply --server-side -f "$place/moved.yaml"
        check "delete it" $k delete pod moved --now --wait=false
        # Of everything that can be listed, rows with columns of its own.
        check "get everything" sh -c "$k get \$($client api-resources --verbs=list -o name | paste -sd,) -o wide"
    fi
    refuse "a typo is found" 'unknown field' sh -c "sed 's/replicas:/replicaz:/' '$place/changed.yaml' | $k apply -f -"
    check "edit" env EDITOR="sed -i s/two/three/" $k edit configmap applied
    equal "was edited" three $k get configmap applied -o 'jsonpath={.data.a}'
    check "patch, strategic" $k patch deployment applied -p '{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"B","value":"b"}]}]}}}}'
    # As in Kubernetes, what a patch adds comes before what is there.
    equal "merges by name" 'B A' $k get deployment applied -o 'jsonpath={.spec.template.spec.containers[0].env[*].name}'
    check "patch, merge" $k patch configmap applied --type=merge -p '{"data":{"a":null,"b":"b"}}'
    check "patch, json" $k patch configmap applied --type=json -p '[{"op":"add","path":"/data/c","value":"c"}]'
    equal "were patched" '{"b":"b","c":"c"}' $k get configmap applied -o 'jsonpath={.data}'
    if since 24; then
        check "patch of a status" $k patch deployment applied --subresource=status --type=merge -p '{"status":{"collisionCount":3}}'
        check "get of a status" $k get deployment applied --subresource=status
    fi
    check "label" $k label configmap one color=red
    check "label is not overwritten" contains 'already has a value' $k label configmap one color=blue
    check "label --overwrite" $k label --overwrite configmap one color=blue
    check "label -" $k label configmap one color-
    check "annotate" $k annotate configmap one note=hello
    check "replace" sh -c "$k get configmap one -o json | $k replace -f -"
    check "replace --force" sh -c "$k get configmap one -o yaml | $k replace --force -f -"

    check "scale" $k scale deployment web --replicas=0 --current-replicas=0
    check "autoscale" $k autoscale deployment web --min=1 --max=3 --cpu-percent=80
    check "set image" $k set image deployment/web '*=hostd.dev/example:2'
    check "set env" $k set env deployment/web MODE=test
    check "set env --list" contains 'MODE=test' $k set env deployment/web --list
    check "set resources" $k set resources deployment web --limits=cpu=200m
    check "set serviceaccount" $k set serviceaccount deployment web robot
    check "set selector" $k set selector service web app=web
    check "set subject" $k set subject rolebinding reader --user=jane
    check "rollout status" $k rollout status deployment web --timeout=180s
    check "rollout history" contains 'REVISION' $k rollout history deployment web
    check "rollout pause" $k rollout pause deployment web
    check "rollout resume" $k rollout resume deployment web
    check "rollout restart" $k rollout restart deployment web
    check "rollout undo" $k rollout undo deployment web
    check "wait for a condition" $k wait deployment/web --for=condition=Available --timeout=180s
    if since 23; then check "wait for a value" $k wait configmap/applied '--for=jsonpath={.data.b}=b' --timeout=180s; fi

    check "explain" contains 'A group of containers' $client explain pods
    check "explain a field" contains 'side by side' $client explain pods.spec.containers
    check "explain --recursive" contains 'terminationGracePeriodSeconds' $client explain pods --recursive
    refuse "explain what is not there" 'does not exist' $client explain pods.spec.nothing
    check "flow schemas, first tried first" sh -c "$client get flowschemas --no-headers | awk '{print \$3}' | sort -nc"
    check "subjects of a binding" contains '^reader +Role/reader +[0-9]+s +jane +'"$space/robot" $k get rolebinding reader -o wide
    check "a service whose pods are not there" contains '^back +<none> +' $k get endpoints
    if since 27; then check "auth can-i --list" contains 'selfsubjectaccessreviews|[*][.][*]' $k auth can-i --list; fi
    check "api-resources" contains '^poddisruptionbudgets' $client api-resources -o wide
    check "api-resources by verb" contains '^deployments.apps$' $client api-resources --verbs=patch --namespaced -o name
    check "api-versions" contains '^apps/v1$' $client api-versions
    check "auth can-i" contains yes $k auth can-i create pods
    check "auth can-i, for another" contains no $k auth can-i create pods --as="system:serviceaccount:$space:robot"
    if since 28; then check "auth whoami" contains 'system:masters' $client auth whoami; fi
    check "auth reconcile" sh -c "$k get role reader -o yaml | $k auth reconcile -f -"
    check "cluster-info" contains 'is running' $client cluster-info
    check "version" $client version
    check "config view" contains 'server:' $client config view --minify
    check "top of the nodes" contains '^[^ ]+ +[0-9]+m +[0-9]+%' $client top nodes
    if since 26; then check "events" $k events; fi

    check "a node" $client create -f - <<YAML
apiVersion: v1
kind: Node
metadata: {name: $space}
YAML
    check "nothing is known of it" contains "^$space +Unknown +<none> +[^ ]+ *\$" $client get node "$space"
    check "cordon" $client cordon "$space"
    equal "is unschedulable" true $client get node "$space" -o 'jsonpath={.spec.unschedulable}'
    check "uncordon" $client uncordon "$space"
    check "taint" $client taint nodes "$space" dedicated=x:NoSchedule
    check "taint -" $client taint nodes "$space" dedicated:NoSchedule-
    check "drain" $client drain "$space"
    check "delete the node" $client delete node "$space"

    openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj "/CN=$space" -out "$place/request.pem" 2>/dev/null
    for form in approve deny; do
        check "a certificate request to $form" $client create -f - <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $space-$form}
spec: {request: $(base64 -w0 "$place/request.pem"), signerName: example.com/nobody, usages: [client auth]}
YAML
        check "certificate $form" $client certificate "$form" "$space-$form"
        check "delete the request" $client delete csr "$space-$form"
    done

    $client proxy --port=0 >"$place/proxy" 2>&1 &
    local proxy=$!
    eventually "proxy" 10 grep -q 'Starting to serve' "$place/proxy"
    check "through it" contains '"name": ?"one"' curl -s --max-time 20 "http://$(sed 's/.* //' "$place/proxy")/api/v1/namespaces/$space/configmaps/one"
    kill "$proxy" 2>/dev/null || true
    wait "$proxy" 2>/dev/null || true

    mkdir -p "$place/kustom"
    printf 'namePrefix: k-\nresources: [one.yaml]\n' >"$place/kustom/kustomization.yaml"
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n' >"$place/kustom/one.yaml"
    check "apply -k" $k apply -k "$place/kustom"
    check "delete -k" $k delete -k "$place/kustom"
    check "delete -f" $k delete -f "$place/manifest.yaml"
    check "delete --cascade=orphan" $k delete deployment web --cascade=orphan
    check "its ReplicaSets stay" contains web $k get replicasets
    check "delete by label" $k delete replicasets -l app=web
    check "delete --all" $k delete configmaps,secrets,ingresses --all
}

# pods CLIENT NAMESPACE MINOR: what needs a running pod.
pods() {
    local client=$1 space=$2 minor=$3 k="$1 -n $2" place=$work/verbs-$2
    check "run" $k run box --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent -- \
        sh -c 'mkdir -p /tmp/www; echo page >/tmp/www/index.html; httpd -p 127.0.0.1:8080 -h /tmp/www; echo begun; exec sleep 100000'
    check "wait" $k wait pod/box --for=condition=Ready --timeout=180s
    check "logs" contains begun $k logs box
    check "logs --tail --since" $k logs box --tail=1 --since=1h --timestamps
    equal "exec" hello $k exec box -- echo hello
    refuse "exec tells the exit status" 'exit code 7' $k exec box -- sh -c 'exit 7'
    check "cp into the pod" $k cp "$place/manifest.yaml" box:/tmp/copied
    check "cp out of it" $k cp box:/tmp/copied "$place/copied"
    check "unchanged" cmp "$place/manifest.yaml" "$place/copied"
    # Attached to an echo that ends with its input.
    check "run -i: attach" contains 'said hello' sh -c "echo hello | timeout 180 $k run echo -i --rm --restart=Never --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent -- sh -c 'read -r word; echo said \$word'"
    mkfifo "$place/forward"
    $k port-forward pod/box :8080 >"$place/forward" 2>"$place/forward.err" &
    local forward=$! line=
    local lines
    exec {lines}<"$place/forward"
    read -rt 120 -u "$lines" line || true
    equal "port-forward" page curl -s --max-time 20 "http://127.0.0.1:$(sed -E 's/.*:([0-9]+) -> .*/\1/' <<<"$line")/"
    kill "$forward" 2>/dev/null || true
    wait "$forward" 2>/dev/null || true
    exec {lines}<&-
    if [ "$minor" -ge 25 ]; then
        check "debug" $k debug box --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --container=look -- sh -c 'echo looked; sleep 1000'
        eventually "what it says" 30 contains looked $k logs box -c look
        check "debug --copy-to" $k debug box --copy-to=copy --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --container=look -- sleep 1000
        check "the copy" $k get pod copy
    fi
    eventually "top of the pods" 20 contains '^box +[0-9]+m' $k top pods
    check "describe" contains 'Started container|Started' $k describe pod box
    check "delete --now" $k delete pods --all --now --wait=false
}

kubectls=()
declare -A minors=()
for client in "$root"/.tools/kubernetes-client/usr/bin/kubectl "$(readlink -f "$(command -v kubectl)")" \
    $(ls "$(dirname "$(readlink -f "$(command -v kubectl)")")"/kubectl.1.* 2>/dev/null); do
    [ -x "$client" ] || continue
    minor=$("$client" version --client -o json 2>/dev/null | jq -r .clientVersion.minor | tr -cd 0-9)
    # The one on PATH is often a copy of one of the others.
    [ -z "${minors[$minor]:-}" ] || continue
    minors[$minor]=$client
done
ordered=($(printf '%s\n' "${!minors[@]}" | sort -n))
oldest=${ordered[0]} newest=${ordered[-1]}
[ "$oldest" -lt 27 ] && [ ${#ordered[@]} -gt 1 ] && oldest_with_pods=${ordered[1]} || oldest_with_pods=$oldest
workers=()
for minor in "${ordered[@]}"; do
    (
        passed=0 failed=0
        verbs "${minors[$minor]}" "verbs-$minor" "$minor"
        if [ "$minor" = "$oldest_with_pods" ] || [ "$minor" = "$newest" ]; then
            pods "${minors[$minor]}" "verbs-$minor" "$minor"
        fi
        "${minors[$minor]}" delete namespace "verbs-$minor" --wait=false >/dev/null
        printf 'TOTAL %d %d\n' "$passed" "$failed"
    ) >"$work/verbs-$minor.log" 2>&1 &
    workers+=($!)
done
for worker in "${workers[@]}"; do wait "$worker" || true; done
for minor in "${ordered[@]}"; do
    # A script that broke off has no total.
    read -r _ good bad < <(grep '^TOTAL ' "$work/verbs-$minor.log" || echo TOTAL 0 1)
    if [ "$bad" = 0 ]; then
        pass "kubectl 1.$minor: $good verbs"
    else
        fail_check "kubectl 1.$minor: $bad of $((good + bad)) verbs failed" "$(grep -A4 'FAIL' "$work/verbs-$minor.log" || tail -n 5 "$work/verbs-$minor.log")"
    fi
done
