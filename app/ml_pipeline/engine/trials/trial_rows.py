"""Rows to try a model with, drawn inside what its graph allows; always the same ones.

Real ones are read by `sample.py`; what all are tried for is `trial.py`. `k` rows.
"""

from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ml_pipeline.engine.graph.report import Domain
from ml_pipeline.engine.signature.bfloat import narrowed
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec

FREE_SIZES = (5, 8, 48, 64, 1)
"""What is tried for sizes behind the first that the signature leaves open, all of them alike: at 1
a mean over time is constant, and a picture must often be a multiple of 8, 16 or 32."""

MOST_REAL = 8
"""Rows of the metadata that are tried; more of them would only take longer."""

MOST_BYTES = 64 * 1024 * 1024
"""Of the rows that are drawn, and of those that are run at once: pictures are large."""

WORDS = ["a", "b", "c"]
"""Where the graph knows none."""

SEPARATORS = (" ", ", ", ". ")
"""Between words, by turns: models part them at blanks, or at other signs."""

UNKNOWN_WORDS = ["unheard-of", "ünbekannt", ""]
"""Beside those that the graph knows, in rows of several words."""

Domains = Mapping[str, Domain]
"""By the input's name."""


class Recipe(NamedTuple):
    """How one row is drawn.

    Attributes:
        scale: Of its floats.
        sign: Of all of them; 0 for either.
        by_column: Whether each column is of a scale of its own.
        missing: Whether half of the floats are NaN, where the graph knows what to do with it.
        num_words: In each string.
    """

    scale: float
    sign: int = 0
    by_column: bool = False
    missing: bool = False
    num_words: int = 1


TAME = (
    Recipe(1.0),
    Recipe(10.0, num_words=2),
    Recipe(0.1, num_words=5),
    Recipe(1.0, num_words=3),
    Recipe(1.0, missing=True, num_words=4),
)
"""Rows such as anybody's."""

WILD = (
    Recipe(1e-3),
    Recipe(1e3),
    Recipe(1e6),
    Recipe(0.0),
    Recipe(1.0, sign=1),
    Recipe(1.0, sign=-1),
    Recipe(5e4, sign=1),
    Recipe(1.0, by_column=True),
)
"""Rows of which one beside another makes a difference where anything is taken of all rows."""

COLUMN_SCALES = (1e-3, 1.0, 1e3, 1e6)


class TrialRows(NamedTuple):
    """Rows in an order in which the first few are a mixture.

    Attributes:
        inputs: `[k, …]` each.
        scales: Float `[k]`, of each row's floats: answers are held against those of the same scale.
    """

    inputs: Tensors
    scales: npt.NDArray[np.float64]


def draw(
    inputs: tuple[TensorSpec, ...],
    num_rows: int,
    domains: Domains,
    *,
    free_size: int = FREE_SIZES[0],
    seed: int = 0,
) -> Tensors:
    """Draw rows that fit: `[num_rows, …]` where the first size is free, else of the fixed size."""
    shapes = [
        tuple(
            size if size != -1 else num_rows if axis == 0 else free_size
            for axis, size in enumerate(spec.shape)
        )
        for spec in inputs
    ]
    steps = min((shape[1] for shape in shapes if len(shape) > 1), default=1)
    drawn = {}
    for spec, shape in zip(inputs, shapes, strict=True):
        random = np.random.default_rng([seed, crc32(spec.name.encode())])
        domain = domains.get(spec.name) or Domain(spec.name)
        drawn[spec.name] = _draw(spec, shape, domain, steps, random)
    return drawn


def _draw(
    spec: TensorSpec,
    shape: tuple[int, ...],
    domain: Domain,
    steps: int,
    random: np.random.Generator,
) -> Array:
    kind = spec.numpy_dtype.kind
    if spec.dtype == "bfloat16":
        return narrowed(random.standard_normal(shape).astype(np.float32))
    if kind == "f" and domain.high is None:
        return random.standard_normal(shape).astype(spec.numpy_dtype)
    if kind == "O":
        return random.choice(np.array(domain.words or WORDS, dtype=object), shape)
    if domain.numbers:
        return random.choice(np.array(domain.numbers), shape).astype(spec.numpy_dtype)
    low = domain.low or 0
    high = low + 4 if domain.high is None else max(domain.high, low)
    if kind == "b":
        high = 1
    elif domain.length:
        high = max(steps, low)
    return random.integers(low, high + 1, shape).astype(spec.numpy_dtype)


def trial_rows(
    inputs: tuple[TensorSpec, ...], sample: Tensors, domains: Domains, *, wild: bool
) -> TrialRows:
    """Put together rows to try a model with; all inputs have a free first size.

    Args:
        inputs: The model's inputs.
        sample: Rows that it takes, `[k, …]` each; others are drawn of their sizes.
        domains: Values that inputs take.
        wild: Whether extremes are tried as well.
    """
    row_bytes = sum(array[:1].nbytes for array in sample.values())
    recipes = (TAME + WILD if wild else TAME)[: max(len(TAME), MOST_BYTES // max(row_bytes, 1))]
    drawn = draw(like(inputs, sample), len(recipes), domains, seed=1)
    num_real = min(MOST_REAL, len(sample[inputs[0].name]))
    order = np.random.default_rng(0).permutation(num_real + len(recipes))
    rows = {}
    for spec in inputs:
        domain = domains.get(spec.name) or Domain(spec.name)
        cooked = _cook(spec, drawn[spec.name], domain, recipes)
        rows[spec.name] = np.concatenate([sample[spec.name][:num_real], cooked])[order]
    scales = [1.0] * num_real + [-1.0 if each.by_column else each.scale for each in recipes]
    return TrialRows(rows, np.array(scales)[order])


def like(inputs: tuple[TensorSpec, ...], rows: Tensors) -> tuple[TensorSpec, ...]:
    """Give specs of inputs with all sizes as some rows have them, but for their number."""
    return tuple(
        TensorSpec(spec.name, spec.dtype, (-1, *rows[spec.name].shape[1:])) for spec in inputs
    )


def _cook(spec: TensorSpec, rows: Array, domain: Domain, recipes: tuple[Recipe, ...]) -> Array:
    """Change one input's drawn rows as the recipes say; whole numbers stay as they are."""
    if rows.dtype.kind == "O":
        return _sentences(rows, domain, recipes)
    if rows.dtype.kind != "f" or domain.high is not None:
        return rows
    num_columns = rows.shape[-1] if rows.ndim > 1 else 1
    limit = float(np.finfo(spec.numpy_dtype).max) / 16  # float16 ends at 65,504
    for place, recipe in enumerate(recipes):
        row = rows[place : place + 1].astype(np.float64)
        if recipe.sign:
            row = recipe.sign * np.abs(row)
        row *= np.resize(COLUMN_SCALES, num_columns) if recipe.by_column else recipe.scale
        if recipe.missing and domain.missing:
            row.reshape(-1)[::2] = np.nan
        rows[place : place + 1] = np.clip(row, -limit, limit)
    return rows


def _sentences(rows: Array, domain: Domain, recipes: tuple[Recipe, ...]) -> Array:
    """Put words behind each string, known and unknown ones by turns."""
    known = domain.words or WORDS
    words = [word for pair in zip(known, UNKNOWN_WORDS * len(known), strict=False) for word in pair]
    for place, recipe in enumerate(recipes):
        more = "".join(
            SEPARATORS[step % len(SEPARATORS)] + words[(3 * place + step) % len(words)]
            for step in range(recipe.num_words - 1)
        )
        rows[place : place + 1] = rows[place : place + 1] + more
    return rows
