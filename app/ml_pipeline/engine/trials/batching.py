"""Are rows of several requests run together? What the owner, the graph and a trial say of it."""

from ml_pipeline.engine.graph.report import GraphReport
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.metadata import DeclaredMetadata
from ml_pipeline.engine.signature.tensor import Tensors
from ml_pipeline.engine.trials.sample import sample_inputs
from ml_pipeline.engine.trials.trial import CHECK_SECONDS, TRIAL_SECONDS, Evidence, try_batching
from ml_pipeline.engine.trials.trial_rows import Domains, trial_rows


def why_alone(
    pool: SessionPool,
    sample: Tensors,
    metadata: DeclaredMetadata,
    graph: GraphReport,
    max_batch_size: int,
) -> str | None:
    """Give the reason why each request is run alone, a clause for people; None if none is.

    Args:
        pool: The model's sessions.
        sample: Rows that it takes, `[k, …]` each.
        metadata: What its owner says.
        graph: What its graph says.
        max_batch_size: Most rows that would be run together.
    """
    inputs, shown = pool.sessions[0].inputs, graph.batching
    if not metadata.batching:
        return "its metadata says so"
    if max_batch_size == 1:
        return "MAX_BATCH_SIZE is 1"
    if not inputs:
        return "it has no inputs"
    if not all(spec.batched for spec in inputs):
        return "an input has no free first dimension"
    if shown.verdict == "coupled" and metadata.batching != "accept":
        return f"{shown.node} {shown.reason}".lstrip()
    found = _try(pool, sample, metadata, graph, max_batch_size)
    if shown.verdict == "independent":
        contradicted = found.outcome in ("differs", "unfit")
        reason = f"its graph keeps rows apart, but a trial does not: {found.reason}"
        return reason if contradicted else None
    accepted = metadata.batching == "accept" and found.outcome in ("differs", "unproven")
    return None if accepted or found.outcome == "equal" else found.reason


def _try(
    pool: SessionPool,
    sample: Tensors,
    metadata: DeclaredMetadata,
    graph: GraphReport,
    max_batch_size: int,
) -> Evidence:
    inputs, domains = pool.sessions[0].inputs, domains_of(graph)
    independent = graph.batching.verdict == "independent"
    # Where the rows' values decide what work there is, extreme ones could take for ever.
    wild = not (independent or graph.unbounded)
    samples = [sample]
    if metadata.sample is not None and not all(spec.settled for spec in inputs):
        # Real rows of one step, say: what has as many rows as steps would pass for them.
        samples.append(sample_inputs(pool, inputs, None, domains))
    seconds = CHECK_SECONDS if independent else TRIAL_SECONDS
    rows = [trial_rows(inputs, each, domains, wild=wild) for each in samples]
    found = [try_batching(pool, each, max_batch_size, seconds=seconds) for each in rows]
    contrary = [each for each in found if each.outcome in ("differs", "unfit")]
    return (contrary or found)[0]


def domains_of(graph: GraphReport) -> Domains:
    """Give what a graph tells of its inputs' values, by their names."""
    return {each.name: each for each in graph.domains}
