"""Files as they are on real disks: closed, empty, links to nowhere, pointers to what is not there.

`fault_of` says in a clause for people what is in the way of reading one; which files are looked at
is `model_files.py` and `model_content.py`.
"""

from pathlib import Path
from stat import S_ISREG

from ml_pipeline.errors import InferenceError

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that Git LFS has left in place of a large one."""


def is_there(path: Path) -> bool:
    """Tell whether there is anything of that name, be it a link to nowhere.

    Raises:
        OSError: The folder cannot be looked into.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def fault_of(path: Path) -> str:
    """Say why a file cannot be a model's, a clause for people; empty where nothing tells so."""
    try:
        if not S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
            return "expected a file, found a folder, pipe, socket or device"
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except FileNotFoundError:
        if path.is_symlink():
            return "expected a file, found a link that leads nowhere"
        return "expected a file, found none"
    except OSError as error:
        return reason_of(error)
    if not start:
        return "expected a file with content, found an empty one"
    if start == LFS_POINTER:
        return "expected a file with content, found a Git LFS pointer: git lfs pull"
    return ""


def reason_of(error: Exception) -> str:
    """Give an error's words without the path that it names, which is told more briefly."""
    if isinstance(error, InferenceError):
        return error.detail
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"[:300]
