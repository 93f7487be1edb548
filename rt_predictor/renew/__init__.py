"""Renewal of a site's model in the field, from what its service has recorded.

Every so many days a candidate is tuned from the base model on the jobs that ended last
(`window`), and put where the service's shadow looks. A period later it is judged beside the bundle
in service by the jobs that followed (`judge`), and takes its place only where it is no worse
(`put_in_place`). What is decided is kept in one file (`state`); a `renewer` that is killed anywhere
goes on from there.
"""
