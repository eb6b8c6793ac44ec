#!/usr/bin/env bash
# CatBoost 1.2.10 exports a model of several labels (MultiLogloss) to ONNX as a softmax over one label.
#
# Guess before it was run: each label keeps a probability of its own, or the export is refused, as it is for
# categorical features.
# What happens: the export says nothing, and writes a TreeEnsembleClassifier with the post-transform SOFTMAX. Each row
# gets exactly one label, also where CatBoost's own predict gives none or several, and its probabilities add up to one.
# The trees are the right ones: the wrong probabilities are the softmax of CatBoost's raw values.
# MultiCrossEntropy does the same.
# Seen: catboost 1.2.10, numpy 2.4.6, onnxruntime 1.32.0, Python 3.11:
#   row 0: predict [1 0 1] of [0.837 0.162 0.943]; ONNX label 2 of [0.233 0.009 0.758]
#   row 1: predict [0 1 1] of [0.072 0.929 0.939]; ONNX label 2 of [0.003 0.457 0.540]
#   row 2: predict [0 0 0] of [0.067 0.062 0.063]; ONNX label 0 of [0.351 0.323 0.326]
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  numpy==2.4.6 catboost==1.2.10 onnxruntime==1.32.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import warnings

import numpy as np
import onnxruntime as ort
from catboost import CatBoostClassifier

np.set_printoptions(precision=3, floatmode="fixed", suppress=True)
features = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
labels = (features[:, :3] > 0).astype(int)
rows = features[:3]
for loss in ("MultiLogloss", "MultiCrossEntropy"):
    model = CatBoostClassifier(
        loss_function=loss, iterations=20, depth=3, thread_count=1, random_seed=0, verbose=False,
        allow_writing_files=False,
    ).fit(features, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_model("model.onnx", format="onnx")
    label, maps = ort.InferenceSession("model.onnx").run(None, {"features": rows})
    exported = np.array([[row[column] for column in range(3)] for row in maps])
    own_labels, own = model.predict(rows), model.predict_proba(rows)
    print(loss)
    for i in range(3):
        print(f"row {i}: predict {own_labels[i]} of {own[i]}; ONNX label {label[i]} of {exported[i]}")
    assert own_labels.sum(axis=1).tolist() == [2, 2, 0], own_labels
    assert label.tolist() == [2, 2, 0], label
    assert np.abs(exported - own).max() > 0.6
    powers = np.exp(model.predict(rows, prediction_type="RawFormulaVal"))
    assert np.allclose(exported, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)
PY
