"""The agent: predictions for submission hooks, on their own machine and within milliseconds.

It answers lines of JSON on a Unix socket (`protocol`), from the service over warm connections
(`answers`), and where the service is slow or away it says so at once (`circuit`): a submission
never waits longer than the deadline.
"""
