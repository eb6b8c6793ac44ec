"""Schemathesis against the real server: what the OpenAPI document says is what the server does."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import models
from tests.server import Server, end_well
from tests.web.samples import write_wine
from tests.web.schemathesis.command import schemathesis_command

TOKEN = "planted-secret-0123456789"
MAX_EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "5"))
MOST_SECONDS = 100 + 60 * MAX_EXAMPLES


@pytest.fixture(params=["bundled", "folder"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """The bundled model; or with it models of two inputs and of strings. Few are slow to load."""
    paths = []
    if request.param == "folder":
        paths.append(tmp_path)
        write_wine(tmp_path, "1")
        (tmp_path / "pair.onnx").write_bytes(models.two_input_model())
        (tmp_path / "words.onnx").write_bytes(models.words_model())
    with Server(*paths, ADMIN_TOKEN=TOKEN) as running:
        yield running
        end_well(running)


def test_the_server_does_what_its_document_says(
    server: Server, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every check of every phase, on requests that fit the document and on such that do not."""
    command, environ = schemathesis_command(server.url, MAX_EXAMPLES, TOKEN)

    done = subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=MOST_SECONDS
    )

    assert done.returncode == 0, done.stdout + done.stderr
    [generated] = re.findall(r"(\d+) generated", done.stdout)
    record_property("requests", int(generated))
    assert server.client.get("/health/ready").status_code == 200
