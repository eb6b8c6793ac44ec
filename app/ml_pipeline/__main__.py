"""Starts `ml-pipeline` (`command.py`), and no slower than need be."""

import gc
import os
import sys


def main() -> int:
    """Run the command, alone in its process; returns the exit status."""
    gc.disable()  # until the models are loaded: what is imported stays, looking through it is 50 ms
    # structlog loads rich where litestar has brought it, 40 ms and 4 MB, and nobody here uses it.
    sys.modules["rich"] = None  # type: ignore[assignment]
    if sys.argv[1:2] == ["serve"] and os.environ.get("HANG_SECONDS"):
        from ml_pipeline.hang_watch import be_watched

        be_watched(os.environ)
    from ml_pipeline.engine.graph.process import GraphReader

    graphs = GraphReader()
    if sys.argv[1:2] == ["serve"]:
        graphs.start()  # beside the imports below, of which it needs none
    from ml_pipeline.command import main as run

    return run(graphs=graphs)


if __name__ == "__main__":
    sys.exit(main())
