"""HTTP/1.1 on the event loop's own thread: connections in, requests whole, replies out."""
