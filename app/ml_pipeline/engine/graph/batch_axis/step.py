"""One node that is being followed, as the rules see it."""

from collections.abc import Callable, Sequence
from typing import Any

from onnx import NodeProto

from ml_pipeline.engine.graph.batch_axis.value import (
    Array,
    Mixed,
    NotUnderstood,
    Rows,
    Shape,
    Value,
    along,
)
from ml_pipeline.engine.graph.nodes import attribute, domain_of


class Step:
    """A node and what is known of its operands.

    Args:
        node: As it stands in the graph.
        version: Of the operators of its domain.
        operands: One an input; None where it is left out.
        results: Kind and shapes of each output, as far as they are known; rows are to be found.
    """

    def __init__(
        self,
        node: NodeProto,
        version: int,
        operands: Sequence[Value | None],
        results: Sequence[Value],
    ) -> None:
        self.node, self.version = node, version
        self.operator, self.domain = node.op_type, domain_of(node)
        self.operands, self.results = operands, results

    @property
    def x(self) -> Value:
        """The first operand."""
        return self.at(0)

    @property
    def with_rows(self) -> list[tuple[int, Value, Rows]]:
        """Place, operand and rows of each that depends on the rows."""
        return [(i, v, v.rows) for i, v in enumerate(self.operands) if v and v.rows is not None]

    @property
    def num_outputs(self) -> int:
        """Of the node."""
        return len(self.node.output)

    def at(self, place: int) -> Value:
        """An operand. Raises NotUnderstood if it is left out."""
        value = self.may_be_at(place)
        if value is None:
            raise NotUnderstood(f"lacks operand {place}")
        return value

    def may_be_at(self, place: int) -> Value | None:
        """An operand that may be left out."""
        return self.operands[place] if place < len(self.operands) else None

    def rows_at(self, place: int) -> Rows | None:
        """Where an operand's rows lie."""
        value = self.may_be_at(place)
        return None if value is None else value.rows

    def attribute(self, name: str, default: Any = None) -> Any:
        """Value of an attribute."""
        return attribute(self.node, name, default)

    def axis(self, name: str, default: int, rank: int | None = None) -> int:
        """An attribute that names an axis of the first operand, counted from the front."""
        return along(int(self.attribute(name, default)), self.x.rank if rank is None else rank)

    def constant(self, place: int, name: str) -> Array | None:
        """Elements of an operand, or of the attribute that older versions have; None without.

        Raises:
            Mixed: The rows decide them.
            NotUnderstood: They are not known.
        """
        value = self.may_be_at(place)
        if value is None:
            return self.attribute(name)  # type: ignore[no-any-return]
        if value.rows is not None:
            raise Mixed(f"takes its {name} from the values of all rows")
        if value.constant is None:
            raise NotUnderstood(f"takes its {name} from what the graph does not tell")
        return value.constant

    def only(self, *places: int) -> None:
        """Demand that no other operand depends on the rows."""
        for place, _, _ in self.with_rows:
            if place not in places:
                raise Mixed(f"takes operand {place}, which is for all rows, from the rows")

    def result_shape(self, place: int = 0) -> Shape:
        """Shape of an output for `P` rows. Raises NotUnderstood if it is not known."""
        return self.results[place].shape

    def everywhere(self, rows: Rows | None) -> list[Rows | None]:
        """The same rows for each output."""
        return [rows] * self.num_outputs


Rule = Callable[[Step], Sequence[Rows | None]]
"""Where the rows of the first outputs lie, given where those of the operands do; at least one
operand depends on the rows. What is not told of later outputs must not be used.

Raises Mixed where rows would learn of each other, NotUnderstood where nobody can tell.
"""
