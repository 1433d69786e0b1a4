"""Pure: a Cooperative becomes its desired resources, final in every name and number.

One builder module per Kubernetes kind; no I/O, clock or randomness.
"""
