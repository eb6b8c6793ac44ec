"""The model that measurements serve unless they bring their own: the bundled sample."""

from __future__ import annotations

from ml_pipeline.settings import BUNDLED_MODELS

(SAMPLE_MODEL,) = BUNDLED_MODELS.glob("*.onnx")
SAMPLE_FEATURES = 10
