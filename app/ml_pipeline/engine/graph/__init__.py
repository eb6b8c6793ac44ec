"""What a model's graph says about it: read from the file, not guessed from outside.

Reading order:

1. `report.py`: all that is told of a graph, as the rest of the server sees it.
2. `process.py`: asks for it. Reading is done by a child process, because the `onnx` package costs
   60 ms and 11 MB that a server needs for a moment only.
3. `__main__.py`: the child. `read.py` makes one report, of these parts:
   `batch_axis.py` (do rows stay apart? by the rules in `operators.py`), `randomness.py`,
   `cost.py`, `meanings.py` (of outputs, by `rules.py`), `domains.py` (values that inputs take).

Only `report.py` and `process.py` are imported by the server.
"""
