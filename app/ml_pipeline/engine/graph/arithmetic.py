"""What becomes of probabilities and scores that are calculated with; rules as in `rules.py`.

Converters write a softmax or a mean over estimators as single steps: `exp(x)`, its sum over the
columns, their quotient.
"""

from msgspec.structs import replace
from onnx import NodeProto

from ml_pipeline.engine.graph.facts import GUARDS, Fact, Tensors
from ml_pipeline.engine.graph.nodes import attribute, title

LAST = (1, -1)
"""The axis of the columns."""

NUMBERS = ("probability", "score", "distance")


def softmax(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Probabilities of which one column is true."""
    if attribute(node, "axis", -1) not in LAST:
        return None
    return Fact("probability", title(node), exclusive=True, mass=1.0)


def log_softmax(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Their logarithms."""
    if attribute(node, "axis", -1) not in LAST:
        return None
    return Fact("score", title(node), exclusive=True)


def sigmoid(node: NodeProto, tensors: Tensors) -> Fact | None:
    """A probability in each column by itself."""
    return Fact("probability", title(node), mass=1.0)


def normalised(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Probabilities that are made to come to 1."""
    fact = tensors.fact(node)
    if node.op_type == "Normalizer":
        by_sum = attribute(node, "norm", "MAX") == "L1"
    else:
        by_sum = attribute(node, "p", 2) == 1 and attribute(node, "axis", -1) in LAST
    if fact is None or fact.kind != "probability" or not by_sum:
        return None
    return replace(fact, exclusive=True, mass=1.0)


def averaged(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Mean over estimators: of probabilities it is one."""
    fact = tensors.fact(node)
    return fact if fact is not None and fact.kind == "probability" else calculated(node, tensors)


def calculated(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Numbers of scores are scores; of labels alone, labels."""
    free = [name for name in node.input if name and name not in tensors.known]
    facts = [tensors.facts.get(name) for name in free]
    if any(each is not None and each.kind in NUMBERS for each in facts):
        return Fact("score", title(node))
    if facts and facts[0] is not None and all(each is not None for each in facts):
        return replace(facts[0], classes=[])
    return None


def added(node: NodeProto, tensors: Tensors) -> Fact | None:
    """A sum of probabilities, on the way to their mean."""
    facts = [tensors.facts.get(name) for name in node.input]
    probabilities = [each for each in facts if each is not None and each.kind == "probability"]
    if len(probabilities) != len(facts):
        return calculated(node, tensors)
    mass = sum(each.mass for each in probabilities)
    mass /= len(facts) if node.op_type == "Mean" else 1
    exclusive = all(each.exclusive for each in probabilities)
    return Fact("probability", title(node), exclusive=exclusive, mass=mass)


def multiplied(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Probabilities times a number, or by it: what their columns come to changes."""
    for place in (0, 1):
        fact, number = tensors.fact(node, place), tensors.number(node.input[1 - place])
        if fact is not None and fact.kind == "probability" and number and number > 0:
            if node.op_type == "Div" and place == 0:
                return replace(fact, mass=fact.mass / number)
            if node.op_type == "Mul":
                return replace(fact, mass=fact.mass * number)
    return calculated(node, tensors)


def divided(node: NodeProto, tensors: Tensors) -> Fact | None:
    """By its own sum it comes to 1; 1 by 1 + exp(-x) is a sigmoid."""
    part, whole = node.input
    if tensors.number(part) == 1 and _is_one_and_exp(whole, tensors):
        return sigmoid(node, tensors)
    if whole not in tensors.known and _sums(whole, part, tensors):
        return Fact("probability", title(node), exclusive=True, mass=1.0)
    return multiplied(node, tensors)


def inverted(node: NodeProto, tensors: Tensors) -> Fact | None:
    """The same sigmoid, written otherwise."""
    if _is_one_and_exp(node.input[0], tensors):
        return sigmoid(node, tensors)
    return calculated(node, tensors)


def _is_one_and_exp(name: str, tensors: Tensors) -> bool:
    added = tensors.made_by(name, "Add")
    if added is None:
        return False
    ones = [each for each in added.input if tensors.number(each) == 1]
    others = [each for each in added.input if tensors.made_by(each, "Exp")]
    return bool(ones and others)


def _sums(whole: str, part: str, tensors: Tensors) -> bool:
    """Whether it is the sum over the columns of the part; sums of 0 may be guarded against."""
    parts = tensors.columns_of(part, GUARDS)
    for name in tensors.columns_of(whole):
        node = tensors.producers[name]
        if node.op_type == "ReduceSum" and node.input[0] in parts:
            axes = attribute(node, "axes") or (
                tensors.table(node.input[1]) if node.input[1:] else []
            )
            return axes in ([1], [2], [-1])  # 2: of several labels, each with classes
    return False


def subtracted(node: NodeProto, tensors: Tensors) -> Fact | None:
    """1 - p is a probability; x - log(sum(exp(x))) is the logarithm of one."""
    fact = tensors.fact(node, 1)
    if fact is not None and fact.mass == 1 and tensors.number(node.input[0]) == 1:
        return replace(fact, node=title(node), classes=None, exclusive=False)
    total = tensors.made_by(node.input[1], "ReduceLogSumExp")
    if total is not None and total.input[0] == node.input[0]:
        return Fact("score", title(node), exclusive=True)
    return calculated(node, tensors)


def raised(node: NodeProto, tensors: Tensors) -> Fact | None:
    """Exp of the logarithms of probabilities."""
    fact = tensors.fact(node)
    if fact is None or not (fact.kind == "score" and fact.exclusive and fact.classes is None):
        return calculated(node, tensors)
    return Fact("probability", title(node), exclusive=True, mass=1.0)
