# Plugins as objects: what kubectl shows, and a swap by editing one.
plugin_status() { kubectl get plugin.hostd.dev "$1" -o "jsonpath={.status.$2}"; }
eventually "every plugin is an object" 20 contains 'scheduler +active +shared' kubectl get plugins.hostd.dev
check "wide output names roles and library" contains 'hostd\.scheduler/1.* scheduler ' kubectl get plugins -o wide
check "explain knows the kind" contains 'lastSwap' kubectl explain plugins.status --api-version=hostd.dev/v1
generation=$(plugin_status scheduler generation)
kubectl run before-edit --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --restart=Never --command -- sleep 600 >/dev/null 2>&1
eventually "a pod runs" 20 is Running jsonpath pod before-edit '{.status.phase}'

check "an edit names another library" kubectl patch plugin.hostd.dev scheduler --type merge -p '{"spec":{"library":"scheduler-binpack","options":null}}'
eventually "the swap succeeded" 20 is "succeeded object" kubectl get plugin.hostd.dev scheduler -o 'jsonpath={.status.lastSwap.result} {.status.lastSwap.trigger}'
check "a new generation is in charge" test "$(plugin_status scheduler generation)" -gt "$generation"
check "hostd's own list agrees" contains 'scheduler-binpack\.so' "$hostd" plugin list
kubectl run after-edit --image=hostd.dev/example:latest --image-pull-policy=IfNotPresent --restart=Never --command -- sleep 600 >/dev/null 2>&1
eventually "pods are scheduled by the new one" 20 is Running jsonpath pod after-edit '{.status.phase}'
check "the old pod was not touched" is "Running 0" kubectl get pod before-edit -o 'jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}'

generation=$(plugin_status scheduler generation)
check "an edit names a library that is not there" kubectl patch plugin.hostd.dev scheduler --type merge -p '{"spec":{"library":"no-such-scheduler"}}'
eventually "the failure and its reason are told" 20 contains '^failed .*no-such-scheduler' kubectl get plugin.hostd.dev scheduler -o 'jsonpath={.status.lastSwap.result} {.status.lastSwap.reason}'
check "the present one stays in charge" is "active $generation" kubectl get plugin.hostd.dev scheduler -o 'jsonpath={.status.state} {.status.generation}'
refuse "isolation is one of two" 'Unsupported value.*(shared|process)' kubectl patch plugin.hostd.dev scheduler --type merge -p '{"spec":{"isolation":"perhaps"}}'
printf '#!/bin/sh\nsed -i "s/no-such-scheduler/scheduler/" "$1"\n' >"$work/editor"
chmod +x "$work/editor"
check "kubectl edit" env KUBE_EDITOR="$work/editor" kubectl edit plugin.hostd.dev scheduler
eventually "it swaps back" 20 contains '^succeeded .*/scheduler\.so' kubectl get plugin.hostd.dev scheduler -o 'jsonpath={.status.lastSwap.result} {.status.path}'

check "a swap by the command line" "$hostd" plugin swap hostd.scheduler/1 --to scheduler-binpack
eventually "the specification follows" 20 is scheduler-binpack jsonpath plugin.hostd.dev scheduler '{.spec.library}'
check "a rollback by the command line" "$hostd" plugin rollback hostd.scheduler/1
eventually "the specification follows again" 20 is scheduler jsonpath plugin.hostd.dev scheduler '{.spec.library}'
check "a deleted object comes again" kubectl delete plugin.hostd.dev scheduler
eventually "with what is" 20 is active jsonpath plugin.hostd.dev scheduler '{.status.state}'
kubectl delete pod before-edit after-edit --wait=false --grace-period=0 --force >/dev/null 2>&1
