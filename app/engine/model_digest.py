"""What a model's files hold: the digest that its cached answers go by; whether it draws numbers.

A file of 100 MB takes a second, in which others want Python's lock: the digest is made without it,
and a search gives it up after each step.
"""

import hashlib
import mmap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.engine.model_files import ModelFile

RANDOM_OPERATORS = (b"RandomNormal", b"RandomUniform", b"Multinomial", b"Bernoulli")
"""Graphs that hold one of these give a new answer each time and are never cached.

Source: the ONNX operator list; the `…Like` variants share a prefix. They are looked for by name in
the file's bytes: another thing of that name costs the cache, and nothing else.
"""

STEP_BYTES = 256 * 1024
"""0.2 ms of a search. One through all of 100 MB kept everybody waiting for 66 ms; steps that kept
the lock until it was asked for, for Python's 5 ms (`bench/loading`)."""


def digest_of(file: ModelFile) -> str:
    """Digest the model's files, SHA-256 in hex; blocks.

    Weights in a file of their own are named in the ONNX file: whatever lies beside it, or in a
    folder beside it, and is named there is taken for part of the model. Elsewhere they may not lie:
    ONNX Runtime refuses paths, and links, that lead out of the model's folder.
    """
    digest = hashlib.sha256()
    folder = file.path.parent
    beside = [p for p in sorted(folder.rglob("*")) if p != file.path and p.is_file()]
    with _mapped(file.path) as content:
        digest.update(content)
        parts = [p for p in beside if _holds(content, str(p.relative_to(folder)).encode())]
    if file.metadata_path is not None:
        parts.append(file.metadata_path)
    for part in parts:
        with part.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def is_random(file: ModelFile) -> bool:
    """Tell whether the graph has an operator that draws numbers; blocks."""
    with _mapped(file.path) as content:
        return any(_holds(content, name) for name in RANDOM_OPERATORS)


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with (
        path.open("rb") as handle,
        mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        yield content


def _holds(content: mmap.mmap, word: bytes) -> bool:
    """Search step by step; steps overlap, so that nothing lies across."""
    for at in range(0, len(content), STEP_BYTES):
        if content.find(word, at, at + STEP_BYTES + len(word)) != -1:
            return True
        time.sleep(0)  # lets go of the lock
    return False
