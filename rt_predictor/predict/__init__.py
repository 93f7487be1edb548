"""The data plane: jobs of many callers in, answers out. It knows no transport.

batcher      jobs that wait together become one run
dispatch     the run happens here or on a thread, and is counted; a job on which the model fails
             costs its neighbours nothing
deduplicate  equal jobs are answered once, also those asked for a moment ago
predictor    columns -> history -> features -> graph -> distribution -> the numbers asked for
predictions  these numbers, in columns
"""
