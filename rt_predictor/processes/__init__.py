"""Processes that serve: a supervisor, its workers, reloads of the model; or one process alone."""
