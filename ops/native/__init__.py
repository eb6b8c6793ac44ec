"""The whole service on one machine: Redis, replicas, Nginx and Prometheus under supervisord.

Reading order: `__main__` (commands) → `replicas` (scaling and rolling restarts) → `nginx` (the
template, and a reload that loses nothing) → `services` (how each process is started) → `probes`
(whether it answers) → `supervision` (supervisord) → `state` (files and ports).
"""
