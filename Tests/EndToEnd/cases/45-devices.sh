# Devices that pods claim: made of a template, given with the node, given back.
scheduled() { is True kubectl get pod "$1" -o 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].status}'; }
claim_of() { kubectl get pod "$1" -o 'jsonpath={.status.resourceClaimStatuses[0].resourceClaimName}'; }
has_device() { contains 'disk-[0-9]' kubectl get resourceclaim "$(claim_of "$1")" -o 'jsonpath={.status.allocation.devices.results[0].device}'; }
gone() { [ -z "$(kubectl get "$@" -o name --ignore-not-found)" ]; }
claimant() {
    cat <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  resourceClaims: [{name: disk, resourceClaimTemplateName: disk}]
  containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sleep, "1000"], resources: {claims: [{name: disk}]}}]
---
EOF
}
check "a class, two devices and a template" kubectl apply -f - <<EOF
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: disks}
spec:
  extendedResourceName: example.com/disk
  selectors: [{cel: {expression: "device.driver == 'disks.example'"}}]
  config: [{opaque: {driver: disks.example, parameters: {speed: high}}}]
---
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {name: disks}
spec:
  driver: disks.example
  allNodes: true
  pool: {name: all, generation: 1, resourceSliceCount: 1}
  devices:
  - {name: disk-1, attributes: {kind: {string: fast}}}
  - {name: disk-2, attributes: {kind: {string: fast}}}
  - {name: disk-3, attributes: {kind: {string: slow}}}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: disk}
spec:
  spec:
    devices:
      requests:
      - name: one
        exactly:
          deviceClassName: disks
          selectors: [{cel: {expression: "device.attributes['disks.example'].kind == 'fast'"}}]
EOF
check "two pods for two devices" kubectl apply -f <(claimant claimant-1; claimant claimant-2)
eventually "the first gets a node" 20 scheduled claimant-1
eventually "and the second" 20 scheduled claimant-2
check "with a device" has_device claimant-1
check "and another" has_device claimant-2
equal "that is the pod's" claimant-1 kubectl get resourceclaim "$(claim_of claimant-1)" -o 'jsonpath={.status.reservedFor[0].name}'
equal "and what the class says of it" high kubectl get resourceclaim "$(claim_of claimant-1)" -o 'jsonpath={.status.allocation.devices.config[0].opaque.parameters.speed}'
check "a third pod" kubectl apply -f <(claimant claimant-3)
eventually "waits" 20 contains 'cannot allocate all claims' kubectl get pod claimant-3 -o 'jsonpath={.status.conditions[0].message}'
eventually "what runs waits for its driver" 20 contains 'DRA driver disks.example is not registered' kubectl describe pod claimant-1
claim=$(claim_of claimant-1)
check "the first goes" kubectl delete pod claimant-1 --wait=false
eventually "and its claim with it" 30 gone resourceclaim "$claim"
eventually "so that the third gets its node" 30 scheduled claimant-3
check "and a device" has_device claimant-3
check "a claim of its own" kubectl apply -f - <<EOF
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: slow}
spec: {devices: {requests: [{name: one, exactly: {deviceClassName: disks, selectors: [{cel: {expression: "device.attributes['disks.example'].kind == 'slow'"}}]}}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: sharer}
spec:
  terminationGracePeriodSeconds: 0
  resourceClaims: [{name: disk, resourceClaimName: slow}]
  containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sleep, "1000"]}]
EOF
eventually "is given devices with the first pod that names it" 20 is disk-3 jsonpath resourceclaim slow '{.status.allocation.devices.results[0].device}'
check "the device is to be used no more" kubectl patch resourceslice disks --type=json -p '[{"op":"add","path":"/spec/devices/2/taints","value":[{"key":"broken","effect":"NoExecute"}]}]'
eventually "so the pod goes" 30 gone pod sharer
eventually "and the claim has no device" 20 is '' jsonpath resourceclaim slow '{.status.allocation}'
check "the others go" kubectl delete pod claimant-2 claimant-3 --wait=false
eventually "with all that was made for them" 30 is 'resourceclaim.resource.k8s.io/slow' kubectl get resourceclaims -o name
check "a pod that asks for a resource" kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: [sleep, "1000"], resources: {limits: {example.com/disk: 2}}}]
EOF
eventually "that a class stands for has its devices" 20 scheduled plain
equal "as it is told" "main container-0-request-0" jsonpath pod plain '{.status.extendedResourceClaimStatus.requestMappings[0].containerName} {.status.extendedResourceClaimStatus.requestMappings[0].requestName}'
equal "two of them" "disk-1 disk-2" jsonpath resourceclaim "$(jsonpath pod plain '{.status.extendedResourceClaimStatus.resourceClaimName}')" '{.status.allocation.devices.results[*].device}'
check "it goes" kubectl delete pod plain --wait=false
eventually "and its claim with it" 30 is 'resourceclaim.resource.k8s.io/slow' kubectl get resourceclaims -o name
check "nothing is left" kubectl delete resourceclaim/slow resourceclaimtemplate/disk resourceslice/disks deviceclass/disks --timeout=60s
