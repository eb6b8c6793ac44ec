"""What goes into a model and comes out of it, and who reads and writes that."""

from typing import NamedTuple

import msgspec

from ml_pipeline.engine.graph.report import GraphReport
from ml_pipeline.engine.model.source import Source
from ml_pipeline.engine.signature.metadata import refine
from ml_pipeline.engine.signature.tensor import Tensors, TensorSpec
from ml_pipeline.engine.trials.batching import domains_of
from ml_pipeline.engine.trials.sample import sample_inputs
from ml_pipeline.engine.wire.answer import AnswerReader, open_reader
from ml_pipeline.engine.wire.codec import RequestCodec
from ml_pipeline.engine.wire.infer_request import InferReader
from ml_pipeline.errors import InvalidInput


class Interface(NamedTuple):
    """Of one model.

    Attributes:
        inputs: Specs, refined by the metadata.
        optional_inputs: Specs of those that need not be given.
        outputs: Specs.
        sample: Rows to try it with, `[k, …]` by input.
        codec: Decodes bodies of `POST /predict`; None where that cannot fill it.
        infer_reader: Decodes requests of the Open Inference Protocol.
        reader: Picks the answer out of the outputs.
        steady: Whether the number of rows tells what a run costs: not with free sizes or strings,
            nor with operators whose work depends on values.
    """

    inputs: tuple[TensorSpec, ...]
    optional_inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    sample: Tensors
    codec: RequestCodec | None
    infer_reader: InferReader
    reader: AnswerReader
    steady: bool

    @property
    def settled(self) -> bool:
        """Whether all sizes of the inputs but the first are fixed."""
        return all(spec.settled for spec in self.inputs)

    def why_no_rows(self, name: str) -> InvalidInput:
        """Say why `POST /predict` cannot fill the model of this name."""
        route = f"use /v2/models/{name}/infer"
        if len(self.inputs) == 1 and not self.inputs[0].ranked:
            return InvalidInput(f"data: expected a model that tells its input's shape; {route}")
        if len(self.inputs) == 1:
            return InvalidInput(f"data: expected no bfloat16 to be asked for in JSON; {route}")
        names = ": " + ", ".join(spec.name for spec in self.inputs) if self.inputs else ""
        return InvalidInput(
            f"data: expected a model with one input, found {len(self.inputs)} in {name}{names}; "
            f"{route}"
        )


def open_interface(source: Source) -> Interface:
    """Hold the metadata against the file, draw a sample, and run it once.

    Raises:
        ModelLoadError: They contradict each other.
    """
    pool, metadata = source.pool, source.metadata
    session, max_rows = pool.sessions[0], source.options.max_rows
    specs = tuple(_as_told(spec, source.graph) for spec in session.inputs)
    inputs = (refine(specs[0], metadata),) if len(specs) == 1 else specs
    sample = sample_inputs(pool, inputs, metadata.sample, domains_of(source.graph))
    codec = None
    if len(inputs) == 1 and inputs[0].dtype != "bfloat16" and inputs[0].ranked:
        codec = RequestCodec(inputs[0], max_rows)
    return Interface(
        inputs=inputs,
        optional_inputs=session.optional_inputs,
        outputs=session.outputs,
        sample=sample,
        codec=codec,
        infer_reader=InferReader(inputs, session.outputs, session.optional_inputs, max_rows),
        reader=open_reader(pool, sample, source.graph.meanings, metadata),
        steady=_rows_tell(inputs) and not source.graph.unbounded,
    )


def _rows_tell(inputs: tuple[TensorSpec, ...]) -> bool:
    """Whether requests of as many rows are as large; a string is as long as it likes."""
    return all(spec.settled and spec.dtype != "str" for spec in inputs)


def _as_told(spec: TensorSpec, graph: GraphReport) -> TensorSpec:
    """Tell apart a scalar from what has any shape, which ONNX Runtime does not."""
    return msgspec.structs.replace(spec, ranked=spec.name not in graph.shapeless)
