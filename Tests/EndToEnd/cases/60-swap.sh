# Each plugin is swapped to itself while a pod runs: the pod keeps its process, its address and its output, and kubectl works
# afterwards. Then refusals, rollback, options, and changes of the configuration.
swap_pod() { kubectl get pod swapped -o "jsonpath={.metadata.uid} {.status.podIP} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}"; }
plugin_field() { "$hostd" plugin list --output json | python3 -c '
import json, sys
for plugin in json.load(sys.stdin)["plugins"]:
    if plugin["name"] == sys.argv[1]: print(eval("plugin" + sys.argv[2]))' "$1" "$2"; }
log_grows() { [ "$(kubectl logs swapped --tail=1)" != "$1" ]; }

check "a pod to look at" kubectl apply -f - <<'EOF'
apiVersion: v1
kind: Pod
metadata: {name: swapped, labels: {app: swapped}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: hostd.dev/example:latest
      imagePullPolicy: IfNotPresent
      command: [/bin/sh, -c, "while :; do date +%s%N; sleep 0.2; done"]
EOF
eventually "it runs" 30 is Running jsonpath pod swapped '{.status.phase}'
before=$(swap_pod)
for plugin in storage gpu dns scheduler network runtime node controllers api; do
    generation=$(plugin_field "$plugin" '["generation"]')
    [ "$generation" = 0 ] && continue # Failed at its start, as optional ones may.
    check "$plugin is swapped to itself" "$hostd" plugin swap "$plugin"
    equal "$plugin has a new generation" "$((generation + 1))" plugin_field "$plugin" '["generation"]'
    equal "$plugin's last swap succeeded" succeeded plugin_field "$plugin" '["lastSwap"]["result"]'
    eventually "the API answers after $plugin" 20 kubectl get nodes
    last=$(kubectl logs swapped --tail=1)
    eventually "the pod goes on after $plugin" 10 log_grows "$last"
    equal "the pod is the same after $plugin" "$before" swap_pod
done
check "exec works" kubectl exec swapped -- /bin/true
check "a new pod is made by all of the new ones" kubectl run after-swaps --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --restart=Never --command -- /bin/sh -c 'echo done'
eventually "and ends well" 30 is Succeeded jsonpath pod after-swaps '{.status.phase}'
equal "its output is there" done kubectl logs after-swaps

refuse "a library that is not there" 'there is no file .*absent' "$hostd" plugin swap hostd.scheduler/1 --to absent
refuse "a role that nobody has" 'did you mean hostd.scheduler/1' "$hostd" plugin swap hostd.schedular/1
refuse "a plugin that lacks the role" 'hostd.api/1 would have no provider' "$hostd" plugin swap api --to "$build/plugins/dns.so"
check "rollback" "$hostd" plugin rollback hostd.scheduler/1
refuse "options that the plugin does not have" 'options' "$hostd" plugin swap dns --options '{"port": 0}'
check "options by command" "$hostd" plugin swap dns --options '{"ttl": 7}'
equal "they are in use" 7 plugin_field dns '["options"]["ttl"]'

# The configuration, while everything runs.
cp "$work/hostd.yaml" "$work/hostd.yaml.before"
python3 - "$work/hostd.yaml" <<'EOF'
import re, sys
text = open(sys.argv[1]).read()
text = re.sub(r"(- name: dns\n    optional: true\n)", r"\1    options: {ttl: 9}\n", text)
open(sys.argv[1], "w").write(text)
EOF
check "reload takes a plugin's options" contains 'plugins.dns: swapped' "$hostd" reload
equal "they are in use" 9 plugin_field dns '["options"]["ttl"]'
reloads() { grep -c 'took the configuration again' "$work/hostd.log"; }
wanted=$(($(reloads) + 1))
kill -HUP "$hostd_pid"
eventually "SIGHUP does the same" 10 is "$wanted" reloads
cp "$work/hostd.yaml.before" "$work/hostd.yaml"
check "and back" contains 'plugins.dns: swapped' "$hostd" reload
equal "nothing more to do" "The configuration is valid and unchanged." "$hostd" reload
check "the pods are deleted" kubectl delete pod swapped after-swaps --wait=true --timeout=180s
