"""The model bundle: written by training, read and run by serving."""
