"""The one-machine platform that `coopctl dev` runs: processes, certificates, node, PostgreSQL, S3, registry.

Nothing here knows cooperatives: it offers the same endpoints that any platform does.
"""
