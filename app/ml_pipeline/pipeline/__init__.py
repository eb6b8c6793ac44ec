"""The hot path, of no protocol: decode, look up, run in a batch, encode, store."""
