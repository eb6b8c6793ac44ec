#!/usr/bin/env bash
# skl2onnx 1.20.0 converts QuadraticDiscriminantAnalysis into a model whose labels are [1, B], not [B].
#
# Guess before it was run: like every other classifier, one label for each row along the first axis.
# What happens: the labels of all rows lie in one row, [1, B], beside probabilities of [B, C], and are declared so.
# Who cuts outputs by rows gives all labels to the first caller, and none to the others.
# Seen: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11:
#   declared: label [1, None], probabilities [None, 3]
#   5 rows: label (1, 5), probabilities (5, 3)
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0
"$work/venv/bin/python" - <<'PY'
import warnings

warnings.simplefilter("ignore")
import onnxruntime as ort
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

features, classes = load_iris(return_X_y=True)
model = QuadraticDiscriminantAnalysis().fit(features, classes)
converted = convert_sklearn(
    model,
    initial_types=[("x", FloatTensorType([None, 4]))],
    options={id(model): {"zipmap": False}},
    target_opset={"": 18, "ai.onnx.ml": 3},
)
session = ort.InferenceSession(converted.SerializeToString())
label, probabilities = session.run(None, {"x": features[:5].astype("float32")})
declared = [output.shape for output in session.get_outputs()]
print(f"declared: label {declared[0]}, probabilities {declared[1]}")
print(f"5 rows: label {label.shape}, probabilities {probabilities.shape}")
assert declared == [[1, None], [None, 3]], declared
assert (label.shape, probabilities.shape) == ((1, 5), (5, 3))
PY
