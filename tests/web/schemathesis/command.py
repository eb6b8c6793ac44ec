"""How Schemathesis is run: by the test in its short form, by ops/soak in a longer one."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = Path(__file__).parents[3] / ".venv" / "schemathesis"
"""In a folder of their own: some are other versions than the tests' (`ops/install.sh`)."""


def schemathesis_command(
    url: str, max_examples: int, token: str, *, seed: int = 1
) -> tuple[list[str], dict[str, str]]:
    """Give the command that holds a server against its document, and the environment it needs.

    Args:
        url: Of the server, without a slash at its end.
        max_examples: Requests of each kind for each operation.
        token: The server's ADMIN_TOKEN.
        seed: Another one, other requests.
    """
    command = [sys.executable, "-m", "schemathesis.cli"]
    command += ["--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/openapi.json"]
    command += ["--checks", "all", "--max-examples", str(max_examples), "--seed", str(seed)]
    command += ["--continue-on-failure", "--no-color", "--request-timeout", "20"]
    packages = os.pathsep.join([str(PACKAGES), str(HERE)])
    return command, {**os.environ, "PYTHONPATH": packages, "ADMIN_TOKEN": token}
