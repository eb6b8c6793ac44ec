"""The child process of `process.py`: reads paths, writes reports, ends with its input."""

import sys
from pathlib import Path

import msgspec

from ml_pipeline.engine.graph.read import read_graph
from ml_pipeline.engine.graph.report import Question


def main() -> None:
    """Answer until nobody has more questions, or the server is gone."""
    _be_the_first_to_go()
    told = sys.stdout.buffer
    while line := sys.stdin.buffer.readline():
        number, path = msgspec.json.decode(line, type=Question)
        told.write(msgspec.json.encode((number, read_graph(Path(path)))) + b"\n")
        told.flush()


def _be_the_first_to_go() -> None:
    """Where memory runs out, the kernel is to end this process and not the server."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:  # not Linux, or not allowed
        pass


if __name__ == "__main__":
    main()
