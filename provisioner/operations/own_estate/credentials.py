"""Pure: whether the platform's own change of credentials, which `finalise` asks for, has been made by an apply.

An estate that takes the data store over changes them at once. A change that the platform still owed could not be made
after that: the target is not the platform's to change any more, and every apply here would fail at it.
"""

from provisioner.engine.listening import type_of
from provisioner.engine.state import Checkpoint
from provisioner.plan.resources import RoleKind

ROLE, IDENTITY = "coopctl:postgres:Role", "coopctl:objects:Identity"


def is_owed(applied: Checkpoint | None, *, rotation: int) -> bool:
    """Whether something of the stack, as ``applied`` last, has credentials of before the change ``rotation``.

    A stack that is not there owes nothing; the owner role, which nobody logs in as, neither.
    """
    if applied is None:
        return False
    with_credentials = (
        inputs
        for urn, inputs in applied.inputs.items()
        if type_of(urn) == IDENTITY or (type_of(urn) == ROLE and inputs.get("kind") != str(RoleKind.OWNER))
    )
    return any(int(inputs.get("rotation") or 0) != rotation for inputs in with_credentials)
