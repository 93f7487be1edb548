"""What outcomes teach a model that is serving."""
