"""How the newest proof of a cooperative stands: what it found, its age, and whether it still fits what there is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provisioner.engine.state import Checkpoint
from provisioner.operations.history import Action
from provisioner.operations.recording import open_history
from provisioner.operations.site import Site, Target
from provisioner.proof.evidence import newest

# Isolation is lost by hand and by upgrades too, of which no plan tells.
OLD_AFTER = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class ProofState:
    """The newest proof: when it was made, how many ``problems`` it found, and ``doubts`` why it may no longer hold."""

    at: datetime
    age: timedelta
    problems: int
    doubts: tuple[str, ...]


def proof_state(site: Site, target: Target, *, applied: Checkpoint) -> ProofState | None:
    """The state of the newest proof, or None if there is none. Raises CoopctlError if it cannot be read."""
    found = newest(target.name, records=site.records())
    if found is None:
        return None
    proof, known = found.proof, open_history(site.estate, platform=site.platform).last(target.name, action=Action.PROVE)
    age = datetime.now(UTC) - proof.at
    doubts = {
        # Whoever may write to the state can write a proof; only who has the passphrase can write into the trail.
        "not the one that the audit trail knows": known is None or known.details.get("proof") != found.digest,
        "applied since": proof.state != applied.digest,
        "the plan is another by now": proof.plan != target.fingerprint,
        f"older than {OLD_AFTER.days} days": age > OLD_AFTER,
    }
    return ProofState(
        at=proof.at,
        age=age,
        problems=len(proof.problems),
        doubts=tuple(doubt for doubt, holds in doubts.items() if holds),
    )
