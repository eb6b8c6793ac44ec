"""All that is told of a graph; plain data that crosses from the child process to the server."""

from typing import Literal

from msgspec import Struct

Verdict = Literal["independent", "coupled", "unknown"]
"""Whether rows of a batch stay apart: shown, refuted, or neither."""

Kind = Literal["label", "probability", "score", "distance", "value"]
"""What an output is: a class (or several, of a multi-label model), probabilities `[b, C]`, scores
that are none, distances to something, or anything else."""

Classes = list[int | str]
"""The label of each column, in their order."""


class Batching(Struct, frozen=True):
    """Whether an answer depends on its neighbours.

    Attributes:
        verdict: As it says.
        node: Operator and name of the node that decides; empty where all were followed.
        reason: One clause for people, such as "takes one scale of all rows".
    """

    verdict: Verdict = "unknown"
    node: str = ""
    reason: str = "the graph was not read"


class Meaning(Struct, frozen=True):
    """What an output of the model is.

    Attributes:
        name: Of the output.
        kind: As it says.
        classes: The label of each column, or each value that a label can take; None where the
            graph does not tell, and a label counts from 0; empty of a label with other values that
            nobody lists. Those of a ZipMap are sorted, as ONNX Runtime gives them.
        node: Operator and name of the node that made it so; empty for a mere value.
        exclusive: Whether the columns compete, so that the largest is the answer: of a softmax,
            and not of a sigmoid for each.
        by_class: Whether each column is one class's; those of an SVM may be of pairs of classes.
        decides: Name of the output that is the label of these columns; empty if none is.
    """

    name: str
    kind: Kind = "value"
    classes: Classes | None = None
    node: str = ""
    exclusive: bool = False
    by_class: bool = False
    decides: str = ""


class Domain(Struct, frozen=True):
    """Values that an input takes, as far as the graph tells.

    Attributes:
        name: Of the input.
        low: Least whole number that makes sense; None if nothing tells.
        high: Largest, likewise.
        length: Whether it says how many steps of a sequence count, so that the sequence's own
            length is the largest that makes sense.
        words: Strings that the graph knows, such as the keys of its encoders; some of many.
        numbers: Whole numbers that it knows, likewise.
        missing: Whether NaN is a value that the graph was made for.
    """

    name: str
    low: int | None = None
    high: int | None = None
    length: bool = False
    words: list[str] = []
    numbers: list[int] = []
    missing: bool = False


class GraphReport(Struct, frozen=True):
    """What a graph says.

    Attributes:
        batching: Whether rows stay apart.
        random: Operator and name of a node that draws at random; empty if none does.
        unbounded: Of a node whose work is not bounded by the sizes of the inputs; likewise.
        meanings: One an output, in their order.
        domains: One an input that must be given, in their order.
        external: Files that hold weights, relative to the model's folder.
        shapeless: Inputs whose number of dimensions is not told: ONNX Runtime gives them the shape
            of a scalar.
    """

    batching: Batching = Batching()
    random: str = "the graph was not read"
    unbounded: str = "the graph was not read"
    meanings: list[Meaning] = []
    domains: list[Domain] = []
    external: list[str] = []
    shapeless: list[str] = []


Question = tuple[int, str]
"""Its number, and the path of a model."""

Answer = tuple[int, GraphReport]
"""To the question of that number."""
