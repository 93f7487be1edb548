"""Costs of the service, measured side by side in one run on one machine.

jobs        distinct jobs, from a log or made up
processes   the service and a bare echo, each in a process of its own
echo        the bare echo: the same messages, nothing done with them
load        callers: so many at a time, so many a second, or as a stream
figures     medians and ranges over rounds
calls       one job a call: Predict and PredictStream beside the echo
bulk        many jobs: PredictBatch and PredictArrow beside the ONNX session
inside      one prediction in this process beside the native libraries
growth      cost by batch size and by trees; start, memory, workers
promises    what the figures are held against
run         all of it, in order
"""
