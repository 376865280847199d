"""Holds the operations of hostd's OpenAPI document of version 2 against those that the package `kubernetes` was generated from: each
of its methods has an operation of that name and tag, with these parameters, answers and media types. Prints one line.

    openapi_operations.py DOCUMENT
"""

import json
import pathlib
import re
import sys

import kubernetes

document = json.loads(pathlib.Path(sys.argv[1]).read_text())
# What hostd does not serve: versions that are not on by default, and files of logs.
LEFT_OUT = re.compile(r"alpha|beta|\{group\}|/logs/|/(internal\.apiserver|storagemigration)\.k8s\.io/")


def snake(name):
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def methods():
    """Path, verb, class, name and source of each method of the client."""
    folder = pathlib.Path(kubernetes.__file__).parent / "client" / "api"
    for path in sorted(folder.glob("*_api.py")):
        source = path.read_text()
        owner = re.search(r"class (\w+)\(object\)", source).group(1)
        for part in re.finditer(r"    def (\w+)_with_http_info\(self.*?(?=\n    def |\Z)", source, re.S):
            place, verb = re.search(r"call_api\(\s*'([^']+)', '(\w+)'", part.group(0)).groups()
            if not LEFT_OUT.search(place):
                yield place, verb, owner, part.group(1), part.group(0)


def definition(parameter):
    return document["parameters"][parameter["$ref"].split("/")[-1]] if "$ref" in parameter else parameter


def differences(place, verb, owner, name, source):
    item = document["paths"].get(place) or document["paths"].get(place + "/", {})
    operation = item.get(verb.lower())
    if operation is None:
        return ["missing"]
    tag = "".join(part[:1].upper() + part[1:] for part in operation["tags"][0].split("_"))
    found = [tag + "Api", snake(operation["operationId"].replace(tag, "", 1)).replace("_", "")]
    wanted = [owner, name.replace("_", "")]
    parameters = [definition(parameter) for parameter in item.get("parameters", []) + operation.get("parameters", [])]
    found += [sorted(one["name"] for one in parameters if one["in"] == "query")]
    wanted += [sorted(re.findall(r"query_params\.append\(\('(\w+)'", source))]
    found += [sorted(one["name"] for one in parameters if one["in"] == "path")]
    wanted += [sorted(re.findall(r"path_params\['(\w+)'\]", source))]
    found += [any(one["in"] == "body" for one in parameters)]
    wanted += ["body_params = local_var_params['body']" in source]
    accepted = re.search(r"select_header_accept\(\s*\[(.*?)\]", source, re.S)
    found += [operation["produces"]]
    wanted += [[one for one in re.findall(r"'([^']+)'", accepted.group(1)) if "cbor" not in one]]
    answers = re.search(r"response_types_map = (\{.*?\})", source, re.S).group(1)
    for status, kind in re.findall(r"(\d+): \"?(\w+)\"?,", answers):
        reference = operation["responses"].get(status, {"schema": {"$ref": "none"}}).get("schema", {}).get("$ref", "")
        kind = "" if kind in ("None", "str") else kind
        # "io.k8s.api.core.v1.Pod" is V1Pod there, with the group before it where several have such a kind.
        parts = reference.split("/")[-1].split(".")
        short = parts[-2].capitalize() + parts[-1] if len(parts) > 1 else reference
        found.append(short)
        wanted.append(short if short and kind.endswith(short) else kind)
    return [f"wanted {a}, got {b}" for a, b in zip(wanted, found) if a != b]


count, faults = 0, []
for place, verb, owner, name, source in methods():
    count += 1
    faults += [f"{verb} {place}: {fault}" for fault in differences(place, verb, owner, name, source)]
if faults or count < 600:
    print(f"  FAIL  of {count} operations some differ from Kubernetes'\n        " + "\n        ".join(faults[:10]), flush=True)
    sys.exit(1)
print(f"  ok    {count} operations are Kubernetes'", flush=True)
