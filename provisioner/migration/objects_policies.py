"""Pure: the statement that fences a bucket, put into its policy and taken out again."""

from collections.abc import Collection, Mapping
from typing import Any

from provisioner.datastore.objects_policies import FENCE, POLICY_VERSION, Policy, fence_statement


def fenced(policy: Policy | None, *, bucket: str, identities: Collection[str]) -> Policy:
    """``policy`` with a Deny of writes and deletes for ``identities`` (IAM user names) and for nobody else."""
    statement = fence_statement(bucket, identities=identities)
    return {"Version": POLICY_VERSION, "Statement": [*_others(policy), statement]}


def unfenced(policy: Policy | None) -> Policy | None:
    """``policy`` without the fence; None where nothing is left, so that the policy itself is to be deleted."""
    others = _others(policy)
    return {**(policy or {}), "Statement": others} if others else None


def is_fenced(policy: Policy | None) -> bool:
    """Whether the fence is in ``policy``."""
    return len(_others(policy)) < len(_statements(policy))


def _others(policy: Policy | None) -> list[Mapping[str, Any]]:
    return [statement for statement in _statements(policy) if statement.get("Sid") != FENCE]


def _statements(policy: Policy | None) -> list[Mapping[str, Any]]:
    found = (policy or {}).get("Statement", [])
    return list(found) if isinstance(found, list) else [found]
