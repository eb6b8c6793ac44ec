"""The README's examples, run to the letter against a server of their own."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server

README = (Path(__file__).parents[1] / "README.md").read_text()
CONSOLE = re.findall(r"^\$ (.+)\n(.+)$", README, re.MULTILINE)
PYTHON = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
JAVASCRIPT = re.findall(r"```js\n(.+?)```", README, re.DOTALL)
VOLATILE = ("prediction_time", "request_id")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Port of a server with every setting at its default."""
    with Server() as server:
        yield server.port


def steady(value: Any) -> Any:
    """Leave out what differs each time, and digits beyond float32's."""
    if isinstance(value, dict):
        return {key: steady(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [steady(item) for item in value]
    return pytest.approx(value, abs=1e-6) if isinstance(value, float) else value


@pytest.mark.parametrize(("command", "shown"), CONSOLE)
def test_console_lines_print_what_the_readme_shows(command: str, shown: str, port: int) -> None:
    """A `$` line, pasted into a shell, prints the line below it."""
    pasted = command.replace(":8000", f":{port}")

    printed = subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, timeout=10)

    assert without_volatile(json.loads(printed.stdout)) == steady(json.loads(shown))


def without_volatile(value: Any) -> Any:
    """Leave out what differs each time."""
    if isinstance(value, dict):
        return {key: without_volatile(v) for key, v in value.items() if key not in VOLATILE}
    return [without_volatile(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("code", PYTHON)
def test_python_examples_run(code: str, port: int, tmp_path: Path) -> None:
    """A Python block, run by itself, ends well."""
    pasted = code.replace(":8000", f":{port}")

    done = subprocess.run(
        [sys.executable, "-c", pasted], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", JAVASCRIPT)
def test_javascript_examples_run(code: str, port: int) -> None:
    """A JavaScript block, run by Node.js, prints the label."""
    pasted = code.replace(":8000", f":{port}")

    done = subprocess.run(
        ["node", "--input-type=module", "-e", pasted], capture_output=True, text=True, timeout=20
    )

    assert "class_2" in done.stdout, done.stderr


def test_the_readme_has_examples_of_each_kind() -> None:
    """The patterns above still find the README's blocks."""
    assert len(CONSOLE) >= 5
    assert len(PYTHON) >= 4
    assert len(JAVASCRIPT) >= 1


def test_every_block_is_of_a_kind_that_is_run_or_pasted() -> None:
    """Another word after the fence would take an example out of these tests.

    `py` is the example of KServe's client, which tests/oip runs: it needs packages of its own.
    """
    fences = re.findall(r"^```(.*)$", README, re.MULTILINE)

    assert {opening for opening in fences[::2]} == {"", "console", "js", "py", "python", "sh"}
    assert fences[::2].count("python") == len(PYTHON)
    assert fences[::2].count("js") == len(JAVASCRIPT)
    assert set(fences[1::2]) == {""}
