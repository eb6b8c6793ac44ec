"""The only rooms that know Litestar; thin."""
