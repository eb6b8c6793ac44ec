"""Examples of every operator that the analysis of the batch axis knows, by family."""

from tests.engine.graph.examples import (
    branches,
    contracting,
    elementwise,
    fused,
    learned,
    numbering,
    picking,
    reducing,
    shaping,
)

FAMILIES = (
    elementwise,
    shaping,
    picking,
    numbering,
    reducing,
    contracting,
    fused,
    learned,
    branches,
)

EXAMPLES = [example for family in FAMILIES for example in family.EXAMPLES]

WITHOUT_KERNEL = {
    ("", "SwiGLU"): "ONNX Runtime 1.32 splits it into a Swish that it cannot run at that version",
}
"""Operators of which no example can be run, and why."""

NEVER_APART = {
    ("", "DynamicQuantizeLinear"),
    ("", "EyeLike"),
    ("", "MaxRoiPool"),
    ("", "MaxUnpool"),
    ("", "NonMaxSuppression"),
    ("", "NonZero"),
    ("", "RoiAlign"),
    ("", "Unique"),
    ("com.microsoft", "DynamicQuantizeLSTM"),
    ("com.microsoft", "DynamicQuantizeMatMul"),
}
"""Operators behind which rows never stay apart."""
