"""THE HOT PATH: decode → key → cache → batch → run → encode. Bytes in, bytes out.

`Predictor.predict` reads in the order of time. What surrounds it (HTTP, metrics, logs) is `web/`;
what each step does is `engine/` and `cache/`, which meet only here.
"""

from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.pipeline.answer_cache import AnswerCache
from ml_pipeline.pipeline.inference import Inference, decode, decode_in_steps
from ml_pipeline.protocols.base import Ask, Call
from ml_pipeline.protocols.timings import Timings


class Predictor:
    """Answers predictions.

    Args:
        repository: The models.
        inference: Computes answers.
        answers: Those that need not be computed.
    """

    def __init__(self, repository: Repository, inference: Inference, answers: AnswerCache) -> None:
        self._repository = repository
        self._inference = inference
        self._answers = answers

    async def predict(self, call: Call, timings: Timings) -> tuple[bytes, Ask]:
        """Answer one request.

        Args:
            call: As it was sent.
            timings: Filled in, also where there is no answer.

        Returns:
            The answer, and what was asked.

        Raises:
            InferenceError: Any of the tree in `errors.py` but the load errors.
        """
        with self._repository.get(call.model_name, call.model_version) as model:
            timings.model_name, timings.model_version = model.name, model.version
            if call.heavy:
                opening = self._open_heavy(model, call, timings)
                ask, key = await self._inference.turns.take(opening, call.deadline)
            else:
                ask = decode(model, call, timings)
                key = self._answers.key(model, ask, timings)
            if key is None:
                answer, _ = await self._inference.compute(model, ask, timings, False)
            elif (stored := self._answers.peek(key, timings)) is not None:
                answer = stored
            else:
                answer = await self._answers.share(model, ask, timings, key)
            return answer, ask

    def _open_heavy(
        self, model: Model, call: Call, timings: Timings
    ) -> Steps[tuple[Ask, bytes | None]]:
        """Decode and make the key, of a body that keeps the event loop for too long in one go."""
        ask = yield from decode_in_steps(model, call, timings)
        yield
        key = yield from self._answers.key_in_steps(model, ask, timings)
        return ask, key
