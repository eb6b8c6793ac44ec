"""The child process of `process.py`: reads paths, writes reports, ends when idle."""

import select
import sys
from pathlib import Path

import msgspec

from app.engine.graph.read import read_graph
from app.engine.graph.report import FIRST_SECONDS, Question
from app.engine.thread_priority import give_way


def main(idle_seconds: float, niceness: int) -> None:
    """Answer until nobody asks for a while, or the server is gone."""
    _be_the_first_to_go()
    if niceness:
        give_way(niceness)
    told, patience = sys.stdout.buffer, max(idle_seconds, FIRST_SECONDS)
    # Unbuffered: a question that is read ahead would not be seen by select.
    with open(0, "rb", buffering=0, closefd=False) as asked:
        while select.select([asked], [], [], patience)[0] and (line := asked.readline()):
            number, path = msgspec.json.decode(line, type=Question)
            told.write(msgspec.json.encode((number, read_graph(Path(path)))) + b"\n")
            told.flush()
            patience = idle_seconds


def _be_the_first_to_go() -> None:
    """Where memory runs out, the kernel is to end this process and not the server."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:  # not Linux, or not allowed
        pass


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
