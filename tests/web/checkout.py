"""The server run from a folder that has `app/` and whatever else a test puts there."""

from pathlib import Path

from tests.server import ROOT, Server

START = """
import sys
sys.path.insert(0, {folder!r} + "/app")
sys.prefix = {prefix!r}
from ml_pipeline.command import main
sys.exit(main())
"""


def server_from(folder: Path, prefix: Path) -> Server:
    """Make a server of a folder, which looks for an image's files below `prefix`."""
    (folder / "app").symlink_to(ROOT / "app")
    return Server(command=("-c", START.format(folder=str(folder), prefix=str(prefix))))


def write_ui(folder: Path) -> None:
    """Write a dashboard of few files."""
    (folder / "js").mkdir(parents=True)
    (folder / "vendor").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>small</title>")
    (folder / "js" / "main.js").write_text("1;\n" * 1000)
    (folder / "vendor" / "uPlot.iife.min.js").write_text("2;\n")
