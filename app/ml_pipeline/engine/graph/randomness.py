"""Does a graph draw at random, or go on from its last run? Such answers are never cached."""

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from ml_pipeline.engine.graph.nodes import attribute, constants, title, walk

DRAWS = {
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("Multinomial", "Bernoulli", "Sampling"),
}
"""Always draw, a fixed seed notwithstanding: the next run goes on where the last one ended."""

DRAWS_IN_TRAINING = {"Dropout": 2, "BitmaskDropout": 2, "BiasDropout": 4, "BitmaskBiasDropout": 4}
"""Draw if the operand at this place is true; it may be left out."""


def random_node(model: ModelProto) -> str:
    """Name the first node that draws, or goes on from run to run; empty if none does."""
    known = constants(model)
    for node in walk(model.graph):
        if node.op_type in DRAWS or _is_training(node, known) or _keeps_averages(node):
            return title(node)
    return ""


def _is_training(node: NodeProto, known: dict[str, TensorProto]) -> bool:
    place = DRAWS_IN_TRAINING.get(node.op_type)
    if place is None or len(node.input) <= place or not node.input[place]:
        return False
    flag = known.get(node.input[place])
    return flag is None or bool(numpy_helper.to_array(flag).any())


def _keeps_averages(node: NodeProto) -> bool:
    """Whether it normalises in training: ONNX Runtime writes the new averages over the old ones.

    It does where no output of the graph has them, as exported training graphs have it, and then the
    same row is answered otherwise by each run.
    """
    if node.op_type != "BatchNormalization":
        return False
    return bool(attribute(node, "training_mode", 0)) or len(node.output) > 1
