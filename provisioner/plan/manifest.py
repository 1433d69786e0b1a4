"""The one alias for Kubernetes objects as plain data; they are made in provisioner.plan alone."""

from typing import Any

Manifest = dict[str, Any]
