"""The only rooms that know Litestar and ASGI; thin."""
