#!/usr/bin/env bash
# skl2onnx 1.20.0 converts an SVC of two classes into a model whose larger score always names the other class.
#
# Guess before it was run: the columns follow the classes, so that the larger score is that of the label, as for a
# LogisticRegression, or an SVC of three classes. The option raw_scores makes no difference, for without
# probability=True an SVC has nothing but raw scores.
# What happens: the two columns, called "probabilities", are [d, -d] for a decision function d that is above 0 for the
# second class. With raw_scores they are [-d, d]. The labels are right both ways.
# Seen: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11:
#   SVC, 2 classes: labels right, larger score names the label in 0 of 100 rows
#   SVC, 2 classes, raw_scores: labels right, larger score names the label in 100 of 100 rows
#   SVC, 3 classes: labels right, larger score names the label in 150 of 150 rows
#   LogisticRegression, 2 classes, raw_scores: labels right, larger score names the label in 100 of 100 rows
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
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

FEATURES, CLASSES = load_iris(return_X_y=True)
FEATURES = FEATURES.astype(np.float32)

for model, count, raw, agreeing in (
    (SVC(), 2, False, 0),
    (SVC(), 2, True, 100),
    (SVC(), 3, False, 150),
    (LogisticRegression(), 2, True, 100),
):
    rows = FEATURES[count > CLASSES]
    model.fit(rows, CLASSES[count > CLASSES])
    converted = convert_sklearn(
        model,
        initial_types=[("x", FloatTensorType([None, 4]))],
        options={id(model): {"zipmap": False, "raw_scores": raw}},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    session = ort.InferenceSession(converted.SerializeToString())
    label, scores = session.run(["label", "probabilities"], {"x": rows})
    found = int((scores.argmax(axis=1) == label).sum())
    print(f"{type(model).__name__}, {count} classes{', raw_scores' if raw else ''}: labels ", end="")
    print(f"{'right' if np.array_equal(label, model.predict(rows)) else 'wrong'}, ", end="")
    print(f"larger score names the label in {found} of {len(rows)} rows")
    assert np.array_equal(label, model.predict(rows))
    assert found == agreeing, found
    if count == 2:
        decision = model.decision_function(rows) * (1 if raw else -1)
        assert np.allclose(scores, np.stack([-decision, decision], axis=1), atol=1e-4)
PY
