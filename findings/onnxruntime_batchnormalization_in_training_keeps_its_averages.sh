#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (CPU): a BatchNormalization in training mode answers the same rows otherwise each time.
#
# Guess before it was run: a session has no state. Y is made of the batch's own mean and variance; the running mean and
# variance that come with it are outputs, which this graph gives to nobody, and the initializers stay as they are.
# What happens: where no output of the graph takes them, the new averages are written over the initializers of the old
# ones, and Y is not the same for the same rows: it moves with every run, and a new session begins anew. With the two
# averages among the outputs of the graph, all runs are alike.
# Seen: numpy 2.4.6, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11:
#   averages given to nobody: run 2 differs from run 1: True; a new session's run 1 from run 1: False
#   averages among the outputs: run 2 differs from run 1: False
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$work/venv/bin/python" - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def session(names: list[str]) -> ort.InferenceSession:
    weights = {"scale": np.ones(3), "bias": np.zeros(3), "mean": np.zeros(3), "variance": np.ones(3)}
    node = helper.make_node(
        "BatchNormalization", ["x", *weights], ["y", "new_mean", "new_variance"], training_mode=1
    )
    shapes = {"y": [None, 3], "new_mean": [3], "new_variance": [3]}
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in names],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=9)
    return ort.InferenceSession(model.SerializeToString())


def differs(left: np.ndarray, right: np.ndarray) -> bool:
    return not np.array_equal(left, right)


lone, whole = session(["y"]), session(["y", "new_mean", "new_variance"])
first, second = (lone.run(["y"], {"x": ROWS})[0] for _ in range(2))
anew = session(["y"]).run(["y"], {"x": ROWS})[0]
told = [whole.run(["y"], {"x": ROWS})[0] for _ in range(2)]
print(
    f"averages given to nobody: run 2 differs from run 1: {differs(first, second)}; "
    f"a new session's run 1 from run 1: {differs(first, anew)}"
)
print(f"averages among the outputs: run 2 differs from run 1: {differs(*told)}")
assert differs(first, second)
assert not differs(first, anew)
assert not differs(*told)
PY
