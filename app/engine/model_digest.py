"""The digest of a model's files, by which its cached answers go.

A file of 100 MB takes a second, in which others want Python's lock: the digest is made without it,
and a search gives it up after each step.
"""

import hashlib
import time
from collections.abc import Collection
from pathlib import Path

from app.engine.model_files import ModelFile

STEP_BYTES = 256 * 1024
"""0.2 ms of a search. One through all of 100 MB kept everybody waiting for 66 ms; steps that kept
the lock until it was asked for, for Python's 5 ms (`bench/loading`)."""


def digest_of(file: ModelFile) -> str:
    """Digest the model's files, SHA-256 in hex; blocks.

    Weights in a file of their own are named in the ONNX file: whatever lies beside it, or in a
    folder beside it, and is named there is taken for part of the model. Elsewhere they may not lie:
    ONNX Runtime refuses paths, and links, that lead out of the model's folder.
    """
    folder = file.path.parent
    beside = [p for p in sorted(folder.rglob("*")) if p != file.path and p.is_file()]
    names = {str(path.relative_to(folder)).encode(): path for path in beside}
    digest, found = _read(file.path, names.keys())
    parts = [path for name, path in names.items() if name in found]
    if file.metadata_path is not None:
        parts.append(file.metadata_path)
    for part in parts:
        with part.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _read(path: Path, words: Collection[bytes]) -> tuple["hashlib._Hash", set[bytes]]:
    """Digest a file, and find which words it holds. Not mapped: it may be cut short meanwhile."""
    digest, found = hashlib.sha256(), set[bytes]()
    overlap = max(map(len, words), default=1) - 1  # so that no word lies across two steps
    end = b""
    with path.open("rb") as handle:
        while step := handle.read(STEP_BYTES):
            digest.update(step)
            window = end + step
            found |= {word for word in words if word not in found and word in window}
            end = window[len(window) - overlap :]
            time.sleep(0)  # lets go of the lock
    return digest, found
