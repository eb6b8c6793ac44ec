"""ai.onnx.ml, strings, and recurrent networks."""

from collections.abc import Sequence

from ml_pipeline.engine.graph.batch_axis.rules.contracting import by_image
from ml_pipeline.engine.graph.batch_axis.step import Rule, Step
from ml_pipeline.engine.graph.batch_axis.value import Mixed, Rows


def table(step: Step) -> Sequence[Rows | None]:
    """Takes rows `[B, F]`; a tensor of one axis is one row to it."""
    if any(value.rank < 2 for _, value, _ in step.with_rows):
        raise Mixed("takes all of a tensor of one axis for one row")
    return by_image(*range(len(step.operands)))(step)


def scaled_columns(step: Step) -> Sequence[Rows | None]:
    """A factor for all, or one a column of `[B, F]` (Scaler, Imputer)."""
    step.only(0)
    rows = step.x.rows
    lists = ("offset", "scale", "imputed_value_floats", "imputed_value_int64s")
    by_column = any(len(step.attribute(name) or ()) > 1 for name in lists)
    if rows is not None and by_column and (rows.axis != 0 or step.x.rank == 1):
        raise Mixed("has a constant along the rows")
    return [rows]


def one_hot_encoder(step: Step) -> Sequence[Rows | None]:
    """Adds an axis behind the last."""
    step.only(0)
    return [step.x.rows]


def string_normalizer(step: Step) -> Sequence[Rows | None]:
    """Word by word, unless it leaves words out."""
    if step.attribute("stopwords"):
        raise Mixed("leaves out words, whichever row they are of")
    return [step.x.rows]


def words(step: Step) -> Sequence[Rows | None]:
    """Cuts strings into words, in as many columns as the longest of the batch has.

    Where what follows takes no notice of the padding (`Value.padding`), rows stay apart.
    """
    if step.operator == "StringSplit":
        return [step.x.rows, step.x.rows]
    return [step.x.rows]


def ngrams(step: Step) -> Sequence[Rows | None]:
    """Counts n-grams of each row; words that pad it to the longest are no part of any."""
    if step.x.rank < 2:
        raise Mixed("takes all of a tensor of one axis for one document")
    padding = step.x.padding
    pool = step.attribute("pool_strings") or ()
    if padding is not None and padding in pool:
        raise Mixed("counts the padding up to the longest row")
    return by_image(0)(step)


def zip_map(step: Step) -> Sequence[Rows | None]:
    """A map a row."""
    return by_image(0)(step)


def recurrent(step: Step) -> Sequence[Rows | None]:
    """Runs along time, the first axis; rows are the second (`layout=0`)."""
    batch = 0 if step.attribute("layout", 0) else 1
    allowed = {0: batch, 4: 0, 5: batch, 6: batch}
    found = set()
    for place, _, rows in step.with_rows:
        if place not in allowed:
            raise Mixed("takes what is for all rows from the rows")
        if rows.axis != allowed[place]:
            raise Mixed("runs along the batch as along time")
        found.add(rows.moved(0))
    if len(found) > 1:
        raise Mixed("has rows in different places")
    for place in (0, 4, 5, 6):
        value = step.may_be_at(place)
        if value is not None and value.rows is None and value.shape[allowed[place]] != 1:
            raise Mixed("has a constant along the rows")
    (rows,) = found
    last = rows.moved(batch)
    return [rows.moved(0 if batch == 0 else 2), last, last][: step.num_outputs]


def distances(step: Step) -> Sequence[Rows | None]:
    """From each of the first operand's rows to each of the second's."""
    if step.rows_at(1) is not None:
        raise Mixed("compares rows with rows")
    return by_image(0)(step)


def mixes(reason: str) -> Rule:
    """Rows always learn of each other."""

    def rule(step: Step) -> Sequence[Rows | None]:
        raise Mixed(reason)

    return rule
