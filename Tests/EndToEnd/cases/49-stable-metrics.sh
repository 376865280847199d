# The metrics that Kubernetes calls stable, of what runs here, at /metrics.
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: batch/v1
kind: Job
metadata: {name: counted}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "hostd.dev/example:latest", imagePullPolicy: IfNotPresent, command: ["true"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: hostd.dev/example:latest
    imagePullPolicy: IfNotPresent
    readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
    command: [sleep, "1000"]
YAML
check "a pod with a probe is ready" kubectl wait --for=condition=Ready pod/probed --timeout=180s
check "a job is complete" kubectl wait --for=condition=Complete job/counted --timeout=180s
kubectl get --raw /livez >/dev/null
kubectl get --raw /metrics >"$work/metrics"
for name in apiserver_admission_step_admission_duration_seconds apiserver_current_inflight_requests apiserver_longrunning_requests \
    apiserver_request_duration_seconds apiserver_request_total apiserver_response_sizes apiserver_storage_objects apiserver_storage_size_bytes \
    job_controller_job_pods_finished_total job_controller_job_sync_duration_seconds job_controller_job_syncs_total \
    job_controller_jobs_finished_total kubernetes_healthcheck kubernetes_healthchecks_total scheduler_framework_extension_point_duration_seconds \
    scheduler_pending_pods scheduler_pod_scheduling_attempts scheduler_queue_incoming_pods_total scheduler_schedule_attempts_total \
    scheduler_scheduling_attempt_duration_seconds; do
    check "$name" grep -q "^# TYPE $name " "$work/metrics"
done
node=$(kubectl get nodes -o 'jsonpath={.items[0].metadata.name}')
figures() { kubectl get --raw "/api/v1/nodes/$node/proxy/$1"; }
check "a container under cAdvisor's name and labels" contains \
    'container_cpu_usage_seconds_total[{]container="main",cpu="total",id="/[0-9a-f]+",image="hostd.dev/example:latest",name="[0-9a-f]+",namespace="default",pod="probed"[}]' \
    figures metrics/cadvisor
check "a pod's network" contains 'container_network_receive_bytes_total[{].*interface="eth0",.*pod="probed"[}]' figures metrics/cadvisor
eventually "its probe is counted" 10 contains 'prober_probe_total[{]container="main",namespace="default",pod="probed",.*result="successful"[}]' figures metrics/probes
check "the node tells the event log that it starts" contains 'Starting kubelet' kubectl get events -n default --field-selector reason=Starting
kubectl delete pod/probed job/counted --wait=false >/dev/null
