"""The pure core: bytes to arrays, arrays to batches, batches through ONNX Runtime.

No web, no Redis, no metrics in here: numpy, msgspec, onnxruntime and the standard library.
"""
