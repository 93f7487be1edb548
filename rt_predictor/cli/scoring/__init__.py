"""What `rt-predictor score` does: jobs from anywhere, scored, and their answers to anywhere."""
