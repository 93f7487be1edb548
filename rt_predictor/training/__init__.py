"""Training: finished jobs become a verified model bundle. Needs the extra `train`."""
