"""Run with KServe's packages alone: asks a server by its client, and prints what it got as JSON.

Usage: client.py URL MODEL ROWS (JSON) json|binary
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(url: str, model: str, rows: str, form: str) -> None:
    """Ask for health and an answer, then for a model that is not there."""
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=10))
    array = np.array(json.loads(rows), np.float32)
    tensor = InferInput("float_input", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array, binary_data=form == "binary")
    request = InferRequest(model, [tensor], request_id="call-7")
    health = [
        await client.is_server_live(url),
        await client.is_server_ready(url),
        await client.is_model_ready(url, model),
    ]
    answer = await client.infer(url, request, model_name=model)
    try:
        await client.infer(url, InferRequest("none", [tensor]), model_name="none")
        error = ""
    except Exception as caught:
        error = str(caught)
    outputs = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    print(json.dumps({"health": health, "id": answer.id, "outputs": outputs, "error": error}))
    await client.close()


asyncio.run(main(*sys.argv[1:]))
