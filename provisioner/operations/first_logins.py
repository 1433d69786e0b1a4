"""Who logs in first to a cooperative's solutions, and with which password.

The migration Job of a solution gives its first user a password that it derives from the migration role's (see
``files/migrate.py`` of the chart). Nobody stores it: it is derived here again from the same Secret, for who may read
that. It holds until the first user changes it.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from provisioner.datastore.credentials import Secret
from provisioner.errors import NotFound
from provisioner.naming import SECRET_DATA_STORE_MIGRATION, tenant_names
from provisioner.plan.resources import CooperativePlan, SolutionChart
from provisioner.plan.solution_choice import FACTS

# 120 bits: a multiple of what RFC 4648 encodes without padding.
PASSWORD_BYTES = 15


class Objects(Protocol):
    """Whoever reads an object: a cluster."""

    def get(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> Mapping[str, Any] | None:
        """One object, or None if there is none."""


@dataclass(frozen=True, kw_only=True)
class FirstLogin:
    """Where the first user of a solution logs in."""

    solution: str
    url: str
    user: str
    password: Secret


def first_logins(plan: CooperativePlan, *, cluster: Objects) -> tuple[FirstLogin, ...]:
    """The first logins of all solutions that have users, in the order of the plan.

    Raises NotFound if the cooperative was not applied yet, NotPermitted or Unreachable.
    """
    wanted = [chart for chart in plan.resources if isinstance(chart, SolutionChart) and _first_user(chart)]
    if not wanted:
        return ()
    key = _migration_password(plan, cluster=cluster)
    return tuple(_first_login(chart, key=key) for chart in wanted)


def derived_password(key: Secret, *, user: str) -> Secret:
    """The first password of ``user`` (HMAC, RFC 2104; Base32, RFC 4648)."""
    digest = hmac.new(key.reveal().encode(), f"first login of {user}".encode(), hashlib.sha256).digest()
    return Secret(base64.b32encode(digest[:PASSWORD_BYTES]).decode().lower())


def _first_login(chart: SolutionChart, *, key: Secret) -> FirstLogin:
    links = {link["name"]: link["url"] for link in chart.values[FACTS]["solutions"]}
    user = _first_user(chart)
    return FirstLogin(
        solution=chart.solution, url=links[chart.solution], user=user, password=derived_password(key, user=user)
    )


def _first_user(chart: SolutionChart) -> str:
    return chart.values[FACTS]["migration"]["firstUser"] or ""


def _migration_password(plan: CooperativePlan, *, cluster: Objects) -> Secret:
    namespace = tenant_names(plan.cooperative, cluster=plan.cluster).data_namespace
    found = cluster.get(api_version="v1", kind="Secret", name=SECRET_DATA_STORE_MIGRATION, namespace=namespace)
    if found is None:
        raise NotFound(
            f"{plan.cooperative} has no data store yet", hint=f"run `coopctl apply {plan.cooperative}` first"
        )
    return Secret(base64.b64decode(found["data"]["PGPASSWORD"]).decode())
