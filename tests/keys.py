"""API keys that tests make: a file of them, and a server that asks for one."""

from pathlib import Path
from typing import NamedTuple

from ml_pipeline.api_keys import make_key
from tests.server import Server


class Keyed(NamedTuple):
    """A server that asks for a key, and the keys that it takes by the names of their owners."""

    server: Server
    keys: dict[str, str]


def write_keys(path: Path, *names: str) -> dict[str, str]:
    """Write a file of a new key for each name, in one step, and give the keys."""
    made = {name: make_key(name) for name in names}
    replace(path, "".join(f"{line}\n" for _, line in made.values()))
    return {name: key for name, (key, _) in made.items()}


def replace(path: Path, text: str) -> None:
    """Put another file in the place of one, in one step."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
