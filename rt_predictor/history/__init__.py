"""History: finished jobs as an append-only log, and what is folded from it for predictions."""
