"""The PostgreSQL and S3 calls that the resource provider, status and final dumps share.

The adapters with their in-memory fakes, and the records of where each data store lives. No Pulumi, no Kubernetes, no
policy of what to create.
"""
