"""Finished jobs into history as they finish: from `sacct`, or from a spool that Slurm's completion
script fills.

Exactly once: a feed forgets jobs only when the service says that they are on disk, and the service
ignores those that it has already.
"""
