"""The network that weighs every point of the support of a job's runtime, one step a file.

shape       sizes, and the grids of the support
forward     what it computes
loss        how near a distribution is to outcomes, and that longer limits shorten no prediction
knowledge   fields that are left out at random, as a site may not record them
batches     jobs of many logs, a few at a time
fit         how it learns
"""
