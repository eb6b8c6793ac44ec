#!/usr/bin/env bash
# skl2onnx 1.20.0 converts OneVsOneClassifier into a model whose labels are positions of classes, not classes.
#
# Guess before it was run: the labels are the classes of fit, as for OneVsRestClassifier.
# What happens: the converter ends with ArgMax and never looks the class up, so that classes 10, 20, 30 come back as
# 0, 1, 2. Nobody sees it who tries it on classes that are 0, 1, 2. The labels also lie in a column, [B, 1], not [B];
# a warning of ONNX Runtime about that shape, muted below, is the only hint.
# Seen: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11:
#   OneVsRestClassifier: predict [10, 20, 30], ONNX (3,) [10, 20, 30]
#   OneVsOneClassifier: predict [10, 20, 30], ONNX (3, 1) [0, 1, 2]
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
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier

ort.set_default_logger_severity(3)
features, positions = load_iris(return_X_y=True)
classes = positions * 10 + 10
rows = features[[0, 50, 100]].astype("float32")
expected = {
    OneVsRestClassifier: ((3,), [10, 20, 30]),
    OneVsOneClassifier: ((3, 1), [0, 1, 2]),
}
for kind, seen in expected.items():
    model = kind(LogisticRegression(max_iter=500)).fit(features, classes)
    converted = convert_sklearn(
        model,
        initial_types=[("x", FloatTensorType([None, 4]))],
        options={id(model): {"zipmap": False}},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    session = ort.InferenceSession(converted.SerializeToString())
    label, _ = session.run(None, {"x": rows})
    own, found = model.predict(rows).tolist(), (label.shape, label.ravel().tolist())
    print(f"{kind.__name__}: predict {own}, ONNX {found[0]} {found[1]}")
    assert own == [10, 20, 30], own
    assert found == seen, found
PY
