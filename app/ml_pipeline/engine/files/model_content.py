"""What a model is made of on disk: its bytes' digest, and whether all that was read is of one time.

Reading takes seconds, in which a file may be replaced: its graph would be read from one file and
its session made of another. So each file is digested before anything is made of it, and looked at
again when all has been read. What that costs is a look at its *signature* (inode, size, times): a
file that is renamed into place is another inode, one that is rewritten in place has another time.
Where a signature has changed the file is digested once more. If it is what it was, somebody may
only have linked it, or may have put another there, of which a session was made, and this one back.
Nobody can tell, so the model is made once more (`load_model.py`). A file that was written just now
is digested once more too: file systems count time in steps of some milliseconds, or seconds.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ml_pipeline.engine.files.files_on_disk import fault_of
from ml_pipeline.errors import ModelLoadError

YOUNG_SECONDS = 3.0
"""The coarsest step of a file system's time is FAT's, 2 s."""


class FileTouched(ModelLoadError):
    """A file is what it was, and has been written, replaced or linked meanwhile."""

    code = "file_touched"


Signature = tuple[int, ...]
"""Device, inode, size, and when content and inode were changed last, in ns."""

SIZE, CHANGED = 2, 3
"""Places in it: of the size, and where the times begin."""


def signature_of(path: Path) -> Signature:
    """Look at a file; raises OSError."""
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class ModelContent:
    """The files of one model: the ONNX file, its external weights, its metadata.

    Mutable state: signature and digest of each, by path. A file of 100 MB takes 0.1 s or more.

    Args:
        path: The ONNX file.
        metadata_path: If there is any.
        look: Gives a file's signature.

    Raises:
        OSError: One is gone, or closed to us.
    """

    def __init__(
        self,
        path: Path,
        metadata_path: Path | None,
        look: Callable[[Path], Signature] = signature_of,
    ) -> None:
        self._look = look
        self._path = path
        self._metadata = [metadata_path] if metadata_path is not None else []
        self._external: list[Path] = []
        self._signatures: dict[Path, Signature] = {}
        self._hashes: dict[Path, hashlib._Hash] = {}
        self._begun = time.time()
        for each in [path, *self._metadata]:
            self._take(each)

    @property
    def num_bytes(self) -> int:
        """Of the ONNX file and its external weights."""
        return sum(self._signatures[each][SIZE] for each in [self._path, *self._external])

    def add_external(self, locations: Iterable[str]) -> None:
        """Take in the files that the graph names for weights, before a session reads them.

        Args:
            locations: Relative to the ONNX file's folder. ONNX Runtime refuses paths, and links,
                that lead out of it, so nothing there is looked at.

        Raises:
            ModelLoadError: One cannot hold weights; names it.
        """
        folder = self._path.parent
        within = folder.resolve()
        for location in sorted(set(locations)):
            path = folder / location
            if path in self._signatures or not path.resolve().is_relative_to(within):
                continue
            if fault := fault_of(path):
                raise ModelLoadError(f"external data {location}: {fault}")
            self._take(path)
            self._external.append(path)

    @property
    def digest(self) -> str:
        """SHA-256 of all files in hex; of a lone ONNX file it is the file's own."""
        together = self._hashes[self._path].copy()
        for part in [*self._external, *self._metadata]:
            together.update(self._hashes[part].digest())
        return together.hexdigest()

    def _take(self, path: Path) -> None:
        self._signatures[path] = self._look(path)  # first: what is digested is this, or newer
        self._hashes[path] = _hash(path)

    def check_unchanged(self) -> None:
        """Hold every file against what it was before it was read.

        Raises:
            FileTouched: None holds anything else, and one may have done so meanwhile; names it.
            ModelLoadError: One has been replaced or rewritten; names it.
            OSError: One is gone.
        """
        touched = ""
        for path, before in self._signatures.items():
            changed = self._look(path) != before
            doubtful = changed or self._is_young(before)
            if doubtful and _hash(path).digest() != self._hashes[path].digest():
                raise ModelLoadError(f"{path.name}: expected to stay as it is, found it replaced")
            if changed:
                touched = path.name
        if touched:
            raise FileTouched(f"{touched}: expected to stay as it is, found it touched meanwhile")

    def _is_young(self, signature: Signature) -> bool:
        return max(signature[CHANGED:]) / 1e9 > self._begun - YOUNG_SECONDS


def _hash(path: Path) -> "hashlib._Hash":
    """Read a file by steps of 256 KiB, without Python's lock."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")
