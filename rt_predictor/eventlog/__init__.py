"""The durable log of events of jobs: a port, one SQLite file behind it, and what keeps memory in
step with it.

What is folded from the log, and stored in a snapshot, its owner says by callbacks: nothing here
knows of history or models.
"""
