#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (CPU): Dropout in training mode with seed 0 draws the same in the first and the second run, and
# the first number of the input has the same luck in every run.
#
# Guess before it was run: each run of a session draws anew, whatever the seed, and drops each number in a tenth of the
# runs for a ratio of 0.1. Two runs that agree show that a model isn't random.
# What happens: run k makes a new generator, minstd_rand0, from seed + k. That one takes a seed of 0 as 1, so that runs
# 0 and 1 are the same. Its first draw from a seed s is s * 16807 / 2**31, which hardly moves as s counts up: for a
# small seed the first number of the first row is dropped in each of 10,000 runs, the next three in a tenth of them.
# Seen: numpy 2.4.6, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11, 10,000 runs of 64 ones, ratio 0.1:
#   seed 0: runs 0 and 1 same, runs 1 and 2 differ; numbers 0 to 3 dropped in 10000, 998, 989, 1001 runs
#   seed 7: runs 0 and 1 differ, runs 1 and 2 differ; numbers 0 to 3 dropped in 10000, 999, 990, 1001 runs
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

RATIO = np.float32(0.1)


def draws(seed: int) -> np.ndarray:
    """What 10,000 runs of one session drop, [run, number]."""
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x", "ratio", "training"], ["y"], seed=seed)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        [numpy_helper.from_array(np.array(RATIO), "ratio"), numpy_helper.from_array(np.array(True), "training")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString())
    ones = np.ones((16, 4), np.float32)
    return np.array([session.run(None, {"x": ones})[0].ravel() == 0 for _ in range(10000)])


def foretold(seed: int) -> np.ndarray:
    """What minstd_rand0 drops of 64 numbers, started from `seed`."""
    state, numbers = seed or 1, []
    for _ in range(64):
        state = state * 16807 % (2**31 - 1)
        numbers.append((state - 1) / (2**31 - 2))
    return np.array(numbers) < RATIO


for seed, twice in ((0, True), (7, False)):
    dropped = draws(seed)
    same = [bool((dropped[i] == dropped[i + 1]).all()) for i in (0, 1)]
    words = ["same" if each else "differ" for each in same]
    counts = dropped.sum(axis=0)
    print(f"seed {seed}: runs 0 and 1 {words[0]}, runs 1 and 2 {words[1]}; ", end="")
    print(f"numbers 0 to 3 dropped in {', '.join(map(str, counts[:4]))} runs")
    assert same == [twice, False], same
    assert counts[0] == 10000 and np.allclose(counts[1:4], 1000, atol=100), counts
    assert np.array_equal(dropped, [foretold(seed + run) for run in range(10000)])
PY
