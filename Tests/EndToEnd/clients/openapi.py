"""Checks every OpenAPI document that hostd serves with openapi-spec-validator. Prints one line for each document.

    openapi.py FOLDER…      JSON documents; those of version 2 have "swagger" in them
"""

import json
import pathlib
import sys

from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator

failures = 0
for path in sorted(pathlib.Path(folder) / name for folder in sys.argv[1:] for name in pathlib.Path(folder).iterdir()):
    document = json.loads(path.read_text())
    validator = OpenAPIV2SpecValidator if "swagger" in document else OpenAPIV30SpecValidator
    faults = [f"{'/'.join(map(str, fault.absolute_path))}: {fault.message[:200]}" for fault in validator(document).iter_errors()]
    if faults:
        failures += 1
        print(f"  FAIL  {path.name} has {len(faults)} faults\n        " + "\n        ".join(faults[:5]), flush=True)
    else:
        print(f"  ok    {path.name}", flush=True)
sys.exit(1 if failures else 0)
