"""Bytes to arrays and back: JSON, MessagePack and the Open Inference Protocol, in bounded steps."""
