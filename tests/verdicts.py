"""A reader of graphs that says what a test wants to hear of their rows.

`python -c START VERDICT serve …` starts a server with one.
"""

import sys

import msgspec

from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.graph.report import Batching, GraphReport, Verdict

NODE, REASON = "Mystery /norm", "is not understood"

START = "from tests.verdicts import main; main()"


class Judge(GraphReader):
    """Reads graphs, and says of each that its rows are as told."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.batching = Batching(verdict, NODE, REASON)

    def answer(self) -> GraphReport:
        """Give the report, but for the verdict."""
        return msgspec.structs.replace(super().answer(), batching=self.batching)


def main() -> None:
    """Run the command with the verdict that is its first argument."""
    from ml_pipeline.command import main as run

    verdict = msgspec.convert(sys.argv[1], Verdict)
    sys.exit(run(sys.argv[2:], graphs=Judge(verdict)))
