#!/usr/bin/env bash
# onnxmltools 1.16.0 converts LightGBM's objective "multiclassova" as if it were "multiclass": with a softmax.
#
# Guess before it was run: the probabilities are LightGBM's own, to float32. An objective that the converter does not
# know is refused, as cross_entropy and mape are.
# What happens: the converter asks whether the objective's name begins with "multiclass". The model then takes the
# softmax of values that LightGBM puts through a sigmoid, each by itself. A test of labels sees nothing, because both
# keep the order, and every row adds up to one, as it does not in LightGBM.
# Seen: lightgbm 4.7.0, onnxmltools 1.16.0, skl2onnx 1.20.0, scikit-learn 1.9.1, onnxruntime 1.32.0, Python 3.11:
#   multiclass: labels equal, probabilities off by up to 0.000, LightGBM's rows add up to 1.000 to 1.000
#   multiclassova: labels equal, probabilities off by up to 0.188, LightGBM's rows add up to 0.893 to 1.307
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 \
  lightgbm==4.7.0 onnxmltools==1.16.0 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0
"$work/venv/bin/python" - <<'PY'
import numpy as np
import onnxruntime as ort
from lightgbm import LGBMClassifier
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_iris

# Both models declare labels of the shape [1], which ONNX Runtime warns of.
ort.set_default_logger_severity(3)
features, classes = load_iris(return_X_y=True)
features = features.astype(np.float32)
for objective, wrong in (("multiclass", False), ("multiclassova", True)):
    model = LGBMClassifier(objective=objective, n_estimators=10, n_jobs=1, deterministic=True, verbose=-1)
    model.fit(features, classes)
    converted = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 4]))], zipmap=False)
    session = ort.InferenceSession(converted.SerializeToString())
    label, probabilities = session.run(["label", "probabilities"], {"x": features})
    own = model.predict_proba(features)
    off, sums = np.abs(probabilities - own).max(), own.sum(axis=1)
    print(
        f"{objective}: labels {'equal' if np.array_equal(label, model.predict(features)) else 'differ'}, "
        f"probabilities off by up to {off:.3f}, LightGBM's rows add up to {sums.min():.3f} to {sums.max():.3f}"
    )
    assert np.array_equal(label, model.predict(features))
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (off > 0.1) if wrong else (off < 1e-5), off
PY
