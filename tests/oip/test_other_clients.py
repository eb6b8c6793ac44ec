"""KServe's client and `mlserver infer`, each with its own packages, unchanged."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pytest

from tests.server import ROOT, Server
from tests.web.samples import WINE_ROWS, wine_answers

README = (ROOT / "README.md").read_text()


def run(packages: str, *command: str) -> str:
    """Run Python with the packages of a folder in `.venv`, and give what it printed."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / ".venv" / packages)}
    done = subprocess.run(
        [sys.executable, *command], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", ["json", "binary"])
def test_kserves_client_is_answered(server: Server, form: str) -> None:
    """Health, which it reads out of the bodies; an answer; and the text of an error."""
    labels, probabilities = wine_answers(WINE_ROWS)
    script = str(Path(__file__).parent / "kserve" / "client.py")

    printed = run("kserve", script, server.url, "wine", json.dumps(WINE_ROWS), form)

    found = json.loads(printed.splitlines()[-1])
    assert found["health"] == [True, True, True]
    assert found["id"] == "call-7"
    assert found["outputs"]["label"] == labels.tolist()
    np.testing.assert_allclose(found["outputs"]["probabilities"], probabilities, rtol=1e-6)
    assert "expected one of" in found["error"]


def test_the_readmes_example_of_kserve_runs(server: Server, tmp_path: Path) -> None:
    """Within a coroutine, and with the `rows` of the example before it."""
    [block] = re.findall(r"^```py\n(.+?)^```", README, re.DOTALL | re.MULTILINE)
    pasted = tmp_path / "pasted.py"
    pasted.write_text(
        "import asyncio\nimport numpy as np\n"
        f"rows = np.array([{WINE_ROWS[0]}], np.float32)\n"
        "async def main():\n"
        f"{indent(block.replace(':8000', f':{server.port}'), '    ')}\n"
        "    print([output.data for output in answer.outputs if output.name == 'label'])\n"
        "asyncio.run(main())\n"
    )

    printed = run("kserve", str(pasted))

    labels, _ = wine_answers(WINE_ROWS[:1])
    assert json.loads(printed.splitlines()[-1]) == [labels.tolist()]


@pytest.mark.parametrize("options", [[], ["--binary-data"]], ids=["json", "binary"])
def test_mlserver_infer_is_answered(server: Server, tmp_path: Path, options: list[str]) -> None:
    """One request a line, in any order; answers are told apart by the id."""
    labels, _ = wine_answers(WINE_ROWS)
    asked, answered = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    tensor = {"name": "float_input", "shape": [1, 10], "datatype": "FP32"}
    requests = [
        {"id": str(n), "inputs": [{**tensor, "data": row}]} for n, row in enumerate(WINE_ROWS)
    ]
    asked.write_text("".join(json.dumps(request) + "\n" for request in requests))
    main = "from mlserver.cli import main; main()"
    address = f"127.0.0.1:{server.port}"

    run("mlserver", "-c", main, "infer", "-u", address, "-m", "wine", "-i", str(asked),
        "-o", str(answered), *options)  # fmt: skip

    answers = [json.loads(line) for line in answered.read_text().splitlines()]
    found: dict[int, Any] = {
        answer["parameters"]["batch_index"]: answer["outputs"][0]["data"] for answer in answers
    }
    assert [found[index] for index in range(len(WINE_ROWS))] == [[label] for label in labels]
