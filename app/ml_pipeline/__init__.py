"""ml-pipeline: put an ONNX model behind REST.

Reading order, which is the order in which a request travels:

0. `fronts/http/connection.py` reads a request whole, and writes its reply.
1. `web/middleware.py` takes it: id, API key, clock, metrics.
2. `web/predict.py` turns it into a call and the answer into a reply.
3. `pipeline/predictor.py` is the hot path: decode, key, cache, batch, run, encode.
4. `engine/wire/codec.py` and `engine/signature/tensor.py` make checked numpy arrays of bytes.
5. `pipeline/answer_cache.py` avoids the run: `engine/wire/cache_key.py`, `cache/memory.py`.
6. `engine/batching/batcher.py` and `engine/sessions/session_pool.py` make the run.
7. `engine/wire/answer.py` reads the model's outputs, `engine/wire/codec.py` writes them.

`build.py` joins these objects, `application.py` opens and closes them, `command.py` serves them.
"""

import os

__version__ = "0.1.0"

# ONNX Runtime 1.32 tells its makers about the models it loads unless it finds this when it is
# imported (onnxruntime#27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# numpy's OpenBLAS makes a thread a core when it is imported, which takes 30 to 70 ms, and nothing
# here multiplies matrices: ONNX Runtime does, by itself.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
