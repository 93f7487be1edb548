"""Features: the job's columns, what is derived from them, and how the matrix is put together."""
