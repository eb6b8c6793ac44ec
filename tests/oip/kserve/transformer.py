"""Run with KServe's packages alone: its model server, in front of the predictor that does the work.

Usage: transformer.py --http_port PORT --model_name NAME --predictor_host HOST:PORT …
"""

import argparse

from kserve import InferRequest, Model, ModelServer, model_server


class Reversed(Model):  # type: ignore[misc]  # KServe is in a folder of its own
    """Takes the features of each row from last to first."""

    def load(self) -> bool:
        """Need nothing."""
        self.ready = True
        return True

    async def preprocess(
        self, payload: InferRequest, headers: dict[str, str] | None = None
    ) -> InferRequest:
        """Put the features into the predictor's order, and send them on as binary."""
        tensor = payload.inputs[0]
        tensor.set_data_from_numpy(tensor.as_numpy()[:, ::-1], binary_data=True)
        return payload


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(parents=[model_server.parser]).parse_args()
    transformer = Reversed(arguments.model_name)
    transformer.load()
    ModelServer().start([transformer])
