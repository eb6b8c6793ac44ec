#!/usr/bin/env bash
# skl2onnx 1.20.0 converts a DecisionTreeClassifier of several labels into a model whose probabilities are 0 or 1.
#
# Guess before it was run: the probabilities are those of predict_proba, as for a tree of one label, for a
# RandomForestClassifier of several labels, and as the declared type, float, says.
# What happens: the model casts the probabilities to bool and back to float, so that each that is not 0 becomes 1.
# Both classes of one label can then have the probability 1. The labels are right, for they are taken before the cast.
# Seen: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11, the first row's labels:
#   RandomForestClassifier: predict_proba [0.48 0.52] [0.34 0.66] [0.82 0.18], ONNX [0.48 0.52] [0.34 0.66] [0.82 0.18]
#   DecisionTreeClassifier: predict_proba [0.49 0.51] [0.66 0.34] [1.00 0.00], ONNX [1.00 1.00] [1.00 1.00] [1.00 0.00]
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 \
  scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0
"$work/venv/bin/python" - <<'PY'
import warnings

warnings.simplefilter("ignore")
import numpy as np
import onnxruntime as ort
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

np.set_printoptions(precision=2, floatmode="fixed", suppress=True)
features, labels = make_multilabel_classification(n_samples=200, n_features=4, n_classes=3, random_state=0)
features = features.astype(np.float32)
for model, wrong in (
    (RandomForestClassifier(3, max_depth=2, random_state=0), False),
    (DecisionTreeClassifier(max_depth=2, random_state=0), True),
):
    model.fit(features, labels)
    converted = convert_sklearn(
        model,
        initial_types=[("x", FloatTensorType([None, 4]))],
        options={id(model): {"zipmap": False}},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    session = ort.InferenceSession(converted.SerializeToString())
    label, probabilities = session.run(None, {"x": features})
    own = np.array(model.predict_proba(features))
    print(f"{type(model).__name__}: predict_proba {' '.join(map(str, own[:, 0]))}, ", end="")
    print(f"ONNX {' '.join(map(str, probabilities[:, 0]))}")
    assert session.get_outputs()[1].type == "tensor(float)"
    assert np.array_equal(label, model.predict(features))
    assert np.allclose(probabilities, own != 0 if wrong else own, atol=1e-5)
PY
