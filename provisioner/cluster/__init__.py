"""Talks to a Kubernetes API server in plain objects, for all who read the cluster beside Pulumi or attack it.

Status, drift, proof and the embedded node share it. What is desired belongs to provisioner.plan, and making it so to
the engine.
"""
