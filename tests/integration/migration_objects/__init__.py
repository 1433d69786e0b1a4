"""Moving a bucket between two S3 servers that really run."""
