"""ONNX Runtime: sessions, the lanes that run them, and custom operators."""
