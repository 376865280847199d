"""The Python client of Kubernetes against hostd: typed, dynamic, watches, streams. Prints one line for each check."""

import json
import sys
import threading
import time
import traceback

import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

SPACE = "python"
IMAGE = "hostd.dev/example:latest"
failures = 0


def check(name):
    """Runs a function at once, as one check."""

    def run(function):
        global failures
        try:
            function()
            print(f"  ok    {name}", flush=True)
        except Exception:
            failures += 1
            print(f"  FAIL  {name}\n        " + traceback.format_exc().strip().replace("\n", "\n        "), flush=True)
        return function

    return run


def refused(status, reason, function):
    try:
        function()
    except ApiException as error:
        assert error.status == status, f"{error.status}: {error.body}"
        assert f'"reason":"{reason}"' in error.body.replace(" ", "").replace("\n", ""), error.body
        return
    raise AssertionError(f"it was not refused with {status} {reason}")


config.load_kube_config()
core, apps, batch = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api()
custom, extensions = client.CustomObjectsApi(), client.ApiextensionsV1Api()
meta = lambda name, **more: client.V1ObjectMeta(name=name, **more)


@check("a namespace, and its service account")
def _():
    core.create_namespace(client.V1Namespace(metadata=meta(SPACE)))
    for _ in range(100):
        if core.list_namespaced_service_account(SPACE).items:
            return
        time.sleep(0.1)
    raise AssertionError("there is no service account")


@check("typed: create, read, replace, patch, delete")
def _():
    made = core.create_namespaced_config_map(SPACE, client.V1ConfigMap(metadata=meta("a"), data={"k": "1"}))
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo
    made.data["k"] = "2"
    newer = core.replace_namespaced_config_map("a", SPACE, made)
    assert newer.data == {"k": "2"}
    refused(409, "Conflict", lambda: core.replace_namespaced_config_map("a", SPACE, made))
    patched = core.patch_namespaced_config_map("a", SPACE, {"data": {"k": None, "l": "3"}})
    assert patched.data == {"l": "3"}, patched.data
    patched = core.patch_namespaced_config_map("a", SPACE, [{"op": "replace", "path": "/data/l", "value": "4"}])
    assert patched.data == {"l": "4"}, patched.data
    refused(409, "AlreadyExists", lambda: core.create_namespaced_config_map(SPACE, client.V1ConfigMap(metadata=meta("a"))))
    core.delete_namespaced_config_map("a", SPACE, body=client.V1DeleteOptions(preconditions={"uid": made.metadata.uid}))
    refused(404, "NotFound", lambda: core.read_namespaced_config_map("a", SPACE))
    refused(422, "Invalid", lambda: core.create_namespaced_config_map(SPACE, client.V1ConfigMap(metadata=meta("A_"))))


@check("typed: dry runs, field managers, pages")
def _():
    for number in range(5):
        core.create_namespaced_config_map(SPACE, client.V1ConfigMap(metadata=meta(f"p{number}", labels={"page": "yes"})))
    core.create_namespaced_config_map(
        SPACE, client.V1ConfigMap(metadata=meta("dry")), dry_run="All", field_manager="python", field_validation="Strict"
    )
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(SPACE, label_selector="page=yes", limit=2, _continue=token)
        assert len(page.items) <= 2
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"p{number}" for number in range(5)], names
    core.delete_collection_namespaced_config_map(SPACE, label_selector="page=yes")
    assert not core.list_namespaced_config_map(SPACE, label_selector="page=yes").items


@check("typed: every list of the stable groups can be read")
def _():
    count = 0
    for api in (
        core, apps, batch, client.AutoscalingV2Api(), client.NetworkingV1Api(), client.PolicyV1Api(),
        client.RbacAuthorizationV1Api(), client.StorageV1Api(), client.SchedulingV1Api(), client.DiscoveryV1Api(),
        client.CoordinationV1Api(), client.EventsV1Api(), client.NodeV1Api(), client.AdmissionregistrationV1Api(),
        extensions, client.ApiregistrationV1Api(), client.CertificatesV1Api(), client.FlowcontrolApiserverV1Api(),
    ):
        for name in dir(api):
            if not name.startswith("list_") or name.endswith("_with_http_info") or "_namespaced_" in name:
                continue
            # The client's model of an event wants eventTime, which events of core/v1 need not have: Kubernetes shows null.
            if name.startswith("list_event_") and isinstance(api, client.EventsV1Api):
                kind = json.loads(getattr(api, name)(_preload_content=False).data)["kind"]
            else:
                kind = getattr(api, name)().kind
            assert kind.endswith("List"), name
            count += 1
    assert count > 40, count


@check("watch: from a list on, with a bookmark at the latest state")
def _():
    listed = core.list_namespaced_config_map(SPACE)
    seen = []

    def write():
        core.create_namespaced_config_map(SPACE, client.V1ConfigMap(metadata=meta("w")))
        core.patch_namespaced_config_map("w", SPACE, {"data": {"a": "b"}})
        core.delete_namespaced_config_map("w", SPACE)

    thread = threading.Thread(target=write)
    thread.start()
    stopping = watch.Watch()
    for event in stopping.stream(
        core.list_namespaced_config_map, SPACE, resource_version=listed.metadata.resource_version, timeout_seconds=20,
        allow_watch_bookmarks=True,
    ):
        if event["type"] == "BOOKMARK" or event["object"].metadata.name != "w":
            continue
        seen.append(event["type"])
        if event["type"] == "DELETED":
            stopping.stop()
    thread.join()
    assert seen == ["ADDED", "MODIFIED", "DELETED"], seen


@check("typed: a Deployment rolls out, scales and goes")
def _():
    container = client.V1Container(
        name="main", image=IMAGE, image_pull_policy="IfNotPresent", command=["sh", "-c", "echo begun; exec sleep 1000"]
    )
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": "py"}),
        spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=0),
    )
    spec = client.V1DeploymentSpec(
        replicas=1, template=template, selector=client.V1LabelSelector(match_labels={"app": "py"})
    )
    apps.create_namespaced_deployment(SPACE, client.V1Deployment(metadata=meta("py"), spec=spec))
    waiting = watch.Watch()
    for event in waiting.stream(apps.list_namespaced_deployment, SPACE, timeout_seconds=60):
        if (event["object"].status.ready_replicas or 0) == 1:
            waiting.stop()
    assert apps.read_namespaced_deployment_status("py", SPACE).status.ready_replicas == 1
    scale = apps.read_namespaced_deployment_scale("py", SPACE)
    scale.spec.replicas = 2
    assert apps.replace_namespaced_deployment_scale("py", SPACE, scale).spec.replicas == 2
    apps.patch_namespaced_deployment_scale("py", SPACE, {"spec": {"replicas": 1}})


@check("stream: exec, with its input, both outputs and its status")
def _():
    pod = core.list_namespaced_pod(SPACE, label_selector="app=py", field_selector="status.phase=Running").items[0]
    name = pod.metadata.name
    assert pod.status.pod_ip and pod.status.container_statuses[0].state.running.started_at
    said = stream(
        core.connect_get_namespaced_pod_exec, name, SPACE, command=["echo", "hello"], stdout=True, stderr=True, stdin=False,
        tty=False,
    )
    assert said.strip() == "hello", said
    open_stream = stream(
        core.connect_get_namespaced_pod_exec, name, SPACE, command=["sh", "-c", "read -r a; echo got $a; echo bad >&2; exit 3"],
        stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
    )
    open_stream.write_stdin("word\n")
    open_stream.run_forever(timeout=20)
    assert open_stream.read_stdout().strip() == "got word"
    assert open_stream.read_stderr().strip() == "bad"
    assert open_stream.returncode == 3, open_stream.returncode
    assert "begun" in core.read_namespaced_pod_log(name, SPACE)
    lines = watch.Watch().stream(core.read_namespaced_pod_log, name, SPACE)
    assert next(iter(lines)) == "begun"


@check("typed: an eviction, and a token")
def _():
    pod = core.list_namespaced_pod(SPACE, label_selector="app=py").items[0].metadata.name
    core.create_namespaced_pod_eviction(pod, SPACE, client.V1Eviction(metadata=meta(pod, namespace=SPACE)))
    token = core.create_namespaced_service_account_token(
        "default", SPACE, client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[]))
    )
    assert token.status.token.count(".") == 2 and token.status.expiration_timestamp
    review = client.AuthenticationV1Api().create_token_review(
        client.V1TokenReview(spec=client.V1TokenReviewSpec(token=token.status.token))
    )
    assert review.status.authenticated and review.status.user.username == f"system:serviceaccount:{SPACE}:default"
    access = client.AuthorizationV1Api().create_self_subject_access_review(
        client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes={"verb": "create", "resource": "pods"})
        )
    )
    assert access.status.allowed


@check("objects from YAML")
def _():
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: y}\nstringData: {a: b}\n"
    utils.create_from_yaml(client.ApiClient(), yaml_objects=[yaml.safe_load(text)], namespace=SPACE)
    assert core.read_namespaced_secret("y", SPACE).data == {"a": "Yg=="}


@check("custom objects")
def _():
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    version = client.V1CustomResourceDefinitionVersion(
        name="v1", served=True, storage=True, schema={"openAPIV3Schema": schema}, subresources={"status": {}}
    )
    names = client.V1CustomResourceDefinitionNames(plural="widgets", kind="Widget", singular="widget")
    extensions.create_custom_resource_definition(
        client.V1CustomResourceDefinition(
            metadata=meta("widgets.python.example.com"),
            spec=client.V1CustomResourceDefinitionSpec(
                group="python.example.com", scope="Namespaced", names=names, versions=[version]
            ),
        )
    )
    for event in watch.Watch().stream(extensions.list_custom_resource_definition, timeout_seconds=20):
        crd = event["object"]
        if crd.spec.group == "python.example.com" and any(
            condition.type == "Established" and condition.status == "True" for condition in crd.status.conditions or []
        ):
            break
    place = ("python.example.com", "v1", SPACE, "widgets")
    body = {"apiVersion": "python.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    custom.create_namespaced_custom_object(*place, body)
    assert custom.get_namespaced_custom_object(*place, "w")["spec"]["size"] == 1
    custom.patch_namespaced_custom_object(*place, "w", {"spec": {"size": 2}})
    assert custom.list_namespaced_custom_object(*place)["items"][0]["spec"]["size"] == 2
    body["spec"]["size"] = "many"
    body["metadata"]["name"] = "x"
    refused(422, "Invalid", lambda: custom.create_namespaced_custom_object(*place, body))


@check("dynamic: discovery, apply, patch, watch, delete")
def _():
    any_kind = dynamic.DynamicClient(client.ApiClient())
    widgets = any_kind.resources.get(api_version="python.example.com/v1", kind="Widget")
    assert widgets.get(name="w", namespace=SPACE).spec.size == 2
    maps = any_kind.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d", "namespace": SPACE}, "data": {"a": "1"}}
    applied = maps.server_side_apply(namespace=SPACE, body=body, field_manager="python")
    assert applied.data.a == "1" and applied.metadata.managedFields[0].operation == "Apply"
    patched = maps.patch(
        name="d", namespace=SPACE, body={"data": {"b": "2"}}, content_type="application/merge-patch+json"
    )
    assert patched.data.to_dict() == {"a": "1", "b": "2"}
    for event in maps.watch(namespace=SPACE, name="d", timeout=10):
        assert event["type"] == "ADDED" and event["object"].metadata.name == "d"
        break
    maps.delete(name="d", namespace=SPACE)
    assert any_kind.resources.get(kind="Pod", api_version="v1").subresources["status"]
    assert any_kind.version["kubernetes"]["gitVersion"]


@check("all of it is deleted")
def _():
    extensions.delete_custom_resource_definition("widgets.python.example.com")
    core.delete_namespace(SPACE)


sys.exit(1 if failures else 0)
