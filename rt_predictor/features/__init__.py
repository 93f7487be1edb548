"""Features: what is derived from jobs, and how the matrix is put together."""
