"""The PostgreSQL and S3 calls that the resource provider, status and final dumps share.

The adapters with their in-memory fakes. No Pulumi, no Kubernetes, no policy of what to create.
"""
