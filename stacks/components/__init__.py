"""Pulumi component resources that group what belongs together in a stack."""
