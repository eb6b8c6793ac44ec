"""What `kubectl kustomize` makes of a folder, for the part of kustomize that this project uses.

Neither PyPI, npm nor Debian 12 brings a kustomize of today, so tests read the manifests with this;
where there is a kubectl, `test_k8s.py` holds it against the real one. Not here: the digests that
kustomize adds to the names of ConfigMaps.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

KNOWN = {"configMapGenerator", "images", "namespace", "patches", "resources"}
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
"""By what lists are merged, as in Kubernetes' API; lists that are not here are replaced."""


def build(folder: Path) -> list[Resource]:
    """Build the kustomization of a folder."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := kustomization.keys() - KNOWN:
        raise NotImplementedError(f"{folder}/kustomization.yaml: {sorted(unknown)}")
    resources: list[Resource] = []
    for entry in kustomization.get("resources", []):
        path = folder / entry
        resources += build(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    for generator in kustomization.get("configMapGenerator", []):
        _generate(resources, folder, generator)
    for patch in kustomization.get("patches", []):
        change = yaml.safe_load((folder / patch["path"]).read_text())
        merge(find(resources, change["kind"], change["metadata"]["name"]), change)
    for resource in resources:
        if "namespace" in kustomization and resource["kind"] != "Namespace":
            resource["metadata"]["namespace"] = kustomization["namespace"]
        for image in kustomization.get("images", []):
            _tag(resource, image["name"], image["newTag"])
    return resources


def find(resources: list[Resource], kind: str, name: str) -> Resource:
    """Return the one resource of that kind and name."""
    [found] = [r for r in resources if (r["kind"], r["metadata"]["name"]) == (kind, name)]
    return found


def merge(base: Resource, change: Resource) -> None:
    """Apply a strategic merge patch in place; what is new in a list goes first."""
    for key, value in change.items():
        present = base.get(key)
        if isinstance(value, dict) and isinstance(present, dict):
            merge(present, value)
        elif isinstance(value, list) and present and (by := _merge_key(key, value)):
            items = {item[by]: item for item in present}
            for item in value:
                merge(items.get(item[by], {}), item)
            base[key] = [i for i in value if i[by] not in items] + present
        else:
            base[key] = deepcopy(value)


def _merge_key(field: str, items: list[Any]) -> str | None:
    """Ports of a Service are known by another number than those of a container."""
    return "port" if field == "ports" and "port" in items[0] else MERGE_KEYS.get(field)


def _generate(resources: list[Resource], folder: Path, generator: dict[str, Any]) -> None:
    data = dict(literal.split("=", 1) for literal in generator.get("literals", []))
    for file in generator.get("files", []):
        data[Path(file).name] = (folder / file).read_text()
    if generator.get("behavior") == "merge":
        find(resources, "ConfigMap", generator["name"])["data"].update(data)
        return
    metadata = {"name": generator["name"]}
    resources.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _tag(node: Any, name: str, tag: str) -> None:
    """Give every container of that image another tag."""
    if isinstance(node, list):
        for item in node:
            _tag(item, name, tag)
    elif isinstance(node, dict):
        if str(node.get("image", "")).split(":")[0] == name:
            node["image"] = f"{name}:{tag}"
        for value in node.values():
            _tag(value, name, tag)
