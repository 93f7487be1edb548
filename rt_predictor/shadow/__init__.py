"""Shadow mode: a candidate model sees the same jobs and outcomes as the one that serves.

It has a process of its own, at the lowest priority (`candidate`), which is kept running by a thread
of the service's first process (`keeper`). What serves sends it some of its calls (`sampler`), and
reads what it says of itself (`report`), both in a folder that they share. Nothing ever waits for
it.
"""
