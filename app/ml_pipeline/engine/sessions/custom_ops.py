"""Libraries of operators that ONNX Runtime itself does not have, registered in every session.

They are code that runs in this process, so only who starts it may name them, by `CUSTOM_OPS`.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import onnxruntime as ort

from ml_pipeline.errors import ModelLoadError

EXTENSIONS = "onnxruntime-extensions"
"""The package with operators for text, images and sound, by its name instead of a path."""

EXTENSION_DOMAINS = ("ai.onnx.contrib", "com.microsoft.extensions")

_unknown = re.compile(r"(\S+):\w+\(-?\d+\) is not a registered function/op").search


class Library(msgspec.Struct, frozen=True):
    """A shared library of operators.

    Attributes:
        path: Where it is.
        digest: SHA-256 of it, hex: another version of it may answer otherwise.
    """

    path: str
    digest: str


def find_libraries(names: Iterable[str]) -> tuple[Library, ...]:
    """Find each library, by its path or the package's name, and see that it can be loaded.

    Raises:
        ModelLoadError: One cannot be; names it.
    """
    return tuple(_find(name) for name in names)


def _find(name: str) -> Library:
    path = _path_of_extensions() if name == EXTENSIONS else name
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        ort.SessionOptions().register_custom_ops_library(path)
    except OSError as error:
        raise ModelLoadError(f"CUSTOM_OPS: {name}: {error.strerror}") from None
    except Exception as error:  # ONNX Runtime's share no base class but this
        reason = str(error).strip().split("\n")[0][:300]
        raise ModelLoadError(f"CUSTOM_OPS: {name}: ONNX Runtime: {reason}") from None
    return Library(path, digest)


def _path_of_extensions() -> str:
    try:
        from onnxruntime_extensions import get_library_path
    except ImportError:
        raise ModelLoadError(
            f"CUSTOM_OPS: {EXTENSIONS} is not installed; pip install {EXTENSIONS}"
        ) from None
    return str(get_library_path())


def hint(refusal: str, libraries: Sequence[Library]) -> str:
    """Say what might help where ONNX Runtime does not know an operator; empty for all else.

    Args:
        refusal: ONNX Runtime's words.
        libraries: Those that were registered.
    """
    found = _unknown(refusal)
    if found is None:
        return ""
    if found[1] in EXTENSION_DOMAINS and not libraries:
        return f"; set CUSTOM_OPS={EXTENSIONS}"
    return "; if a library has it, set CUSTOM_OPS to its path"
