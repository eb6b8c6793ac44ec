"""Run with KServe's packages alone: name the fields of manifests that its types do not know.

Usage: kserve_fields.py TYPE=MANIFEST …, such as V1beta1InferenceService=inference-service.yaml.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kserve import models
from kubernetes.client import models as kubernetes_models


def unknown(name: str, value: Any, path: str) -> Iterator[str]:
    """Give the path of each field in a value that a type does not have, at any depth.

    Args:
        name: Of the type, as the clients' generator writes it: `V1Probe`, `list[V1Probe]`.
        value: Out of a manifest.
        path: Where it stands.
    """
    inner = re.fullmatch(r"(?:list\[|dict\(str, ?)(.+)[\])]", name, re.IGNORECASE)
    if inner:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in pairs:
            yield from unknown(inner[1], each, f"{path}.{key}")
        return
    model = getattr(models, name, None) or getattr(kubernetes_models, name, None)
    if model is None:
        return  # a string, a number
    types = {model.attribute_map[field]: type_ for field, type_ in model.openapi_types.items()}
    for key, each in value.items():
        if key in types:
            yield from unknown(types[key], each, f"{path}.{key}")
        else:
            yield f"{path}.{key}"


for argument in sys.argv[1:]:
    kind, _, manifest = argument.partition("=")
    for field in unknown(kind, yaml.safe_load(Path(manifest).read_text()), kind):
        print(field)
