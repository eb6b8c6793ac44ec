"""The manifests for KServe, held against its own types: no cluster has run them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.server import ROOT

FOLDER = ROOT / "ops" / "k8s" / "kserve"


def unknown_fields(kind: str, manifest: Path) -> list[str]:
    """Name the fields that KServe's types do not have."""
    script = Path(__file__).parent / "kserve_fields.py"
    environ = {**os.environ, "PYTHONPATH": str(ROOT / ".venv" / "kserve")}
    command = [sys.executable, str(script), f"{kind}={manifest}"]
    found = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_kserve_knows_each_field_of_the_runtime() -> None:
    """A field that it does not know would be refused, or do nothing."""
    assert unknown_fields("V1alpha1ServingRuntime", FOLDER / "serving-runtime.yaml") == []


def test_kserve_knows_each_field_of_the_service() -> None:
    """The same of what names a model."""
    assert unknown_fields("V1beta1InferenceService", FOLDER / "inference-service.yaml") == []


def test_a_field_that_kserve_does_not_know_is_named(tmp_path: Path) -> None:
    """However deep it stands."""
    manifest = tmp_path / "runtime.yaml"
    text = (FOLDER / "serving-runtime.yaml").read_text()
    manifest.write_text(text.replace("periodSeconds: 10", "everySeconds: 10"))

    assert unknown_fields("V1alpha1ServingRuntime", manifest) == [
        "V1alpha1ServingRuntime.spec.containers.0.livenessProbe.everySeconds"
    ]
