"""Brings a new cooperative to life in one go: from its descriptor to a first login.

1. Build and push the images that its solutions need and that nothing is locked for yet (`missing_images`).
2. Apply it, and the platform's own stack before it if need be; prove its isolation.
3. Read who logs in first, and with which password.

Cut off anywhere the descriptor is there: `coopctl apply NAME` goes on, and `coopctl first-login NAME` shows the rest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provisioner.catalogue import Catalogue
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.engine.changes import Changes
from provisioner.engine.events import Report
from provisioner.engine.fleet import Outcome
from provisioner.operations.applying import ApplyOptions, apply_fleet
from provisioner.operations.first_logins import FirstLogin, Objects, first_logins
from provisioner.operations.proving import ProofOptions, prove_applied
from provisioner.operations.site import Site, Target
from provisioner.plan.resources import CooperativePlan
from provisioner.proof.evidence import Proof


@dataclass(frozen=True, kw_only=True)
class Onboarded:
    """What became of it; ``logins`` are none where applying failed."""

    applied: tuple[Outcome[Changes], ...]
    proofs: tuple[Outcome[Proof], ...]
    logins: tuple[FirstLogin, ...]


def missing_images(
    solutions: Iterable[str], *, catalogue: Catalogue, lock: ImagesLock, own: Iterable[str]
) -> tuple[str, ...]:
    """The images that ``solutions`` run, and ``own`` of coopctl, for which ``lock`` has no digest."""
    wanted = sorted({image for name in solutions for image in catalogue.solution(name).images})
    return tuple(image for image in (*wanted, *own) if image not in lock.images)


def onboard(
    site: Site, targets: Sequence[Target], *, cluster: Objects, options: ApplyOptions, report: Report
) -> Onboarded:
    """Apply ``targets``, of which the last is the cooperative, prove it, and read its first logins.

    Raises what `apply_fleet` and `first_logins` raise.
    """
    applied = apply_fleet(site, targets, options=options, report=report)
    proofs = prove_applied(site, applied, options=ProofOptions(fleet=options.fleet), report=report)
    plan = targets[-1].plan
    lives = not any(outcome.failure for outcome in applied) and isinstance(plan, CooperativePlan)
    logins = first_logins(plan, cluster=cluster) if lives and isinstance(plan, CooperativePlan) else ()
    return Onboarded(applied=applied, proofs=proofs, logins=logins)
