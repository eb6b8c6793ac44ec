"""Groups what waits into runs, refuses what would wait too long, and goes on checking."""
