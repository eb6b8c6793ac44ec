"""What is counted, and how Prometheus sees it."""
