"""HTTP/1.1 on the event loop's own thread: connections in, requests whole, replies out.

Each hop to another thread costs more than parsing does: `bench/ceiling` has an echo on this and one
where HTTP is spoken by threads of its own. A listener has connections; a connection has a parser,
which knows no socket, and a sender; what connections share is a service.
"""
