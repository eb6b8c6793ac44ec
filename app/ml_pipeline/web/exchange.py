"""What the web layer knows of one request while it is answered: the log and traces tell of it."""

import msgspec

from ml_pipeline.fronts.http.message import Request
from ml_pipeline.protocols.base import Call
from ml_pipeline.protocols.timings import Timings


class Exchange(msgspec.Struct, gc=False):
    """One request on its way to an answer. Written by the request layer alone (`middleware.py`).

    Attributes:
        request: As it was sent.
        request_id: Under which it is logged and answered.
        timings: Of a prediction: where its time goes. The hot path fills them in.
        client_name: Whose API key it came with; empty where none is needed, or before it is known.
        call: What it asks of a model; None if that is not a prediction, or could not be read.
    """

    request: Request
    request_id: str
    timings: Timings
    client_name: str = ""
    call: Call | None = None
