"""A cooperative's solutions as people there meet them: where they are, who logs in first, and what is in them.

Whoever looks is on the platform's machine, where the cooperatives' names need not resolve: every request goes to the
ingress on loopback, under the name that a browser would ask for.
"""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli import wiring
from examples.pilot_estate import COOPCTL
from examples.tryton_client import TrytonClient
from provisioner.descriptor.estate import Estate
from provisioner.plan.resources import SolutionChart
from provisioner.plan.solution_choice import FACTS

# What tells that the modules of a solution are in the server that it extends: one of its own kinds of records.
KINDS = {
    "trade": "sale.sale",
    "lot-tracing": "food.type",
    "gas-delivery": "gas.cylinder",
    "plating-orders": "plating.process",
}
PARTY = "견본 거래처"


@dataclass(frozen=True, kw_only=True)
class Login:
    """Where the first user of a solution logs in, and with what."""

    solution: str
    url: str
    user: str
    password: str = field(repr=False)

    @property
    def client(self) -> TrytonClient:
        """A client of the server there, through the ingress."""
        place = urlsplit(self.url)
        return TrytonClient(
            url=f"http://127.0.0.1:{place.port or 80}/", database=place.fragment, host=place.hostname or ""
        )

    def session(self) -> str:
        """A session of the first user. Raises PermissionError if the password is not right."""
        opened = self.client.login(self.user, self.password)
        if opened is None:
            raise PermissionError(f"{self.user} is not let in at {self.url}")
        return opened


def addresses(cooperative: str, *, estate: Path) -> dict[str, str]:
    """The address of every solution of ``cooperative`` that has one; the plan decides it, no server is asked."""
    plan = wiring.open_plan(cooperative, estate=Estate(root=estate), lock_file=None)
    charts = [resource for resource in plan.resources if isinstance(resource, SolutionChart)]
    links = charts[0].values[FACTS]["solutions"] if charts else []
    return {link["name"]: link["url"] for link in links if link["url"]}


def first_logins(cooperative: str, *, estate: Path) -> list[Login]:
    """What `coopctl first-login` answers; nothing for solutions without users of their own."""
    command = [str(COOPCTL), "first-login", cooperative, "--output", "json", "--estate", str(estate)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [Login(**one) for one in json.loads(done.stdout)["logins"]]


def save_party(login: Login) -> str:
    """Save a party as the first user does on the screen, unless it is there; its name."""
    client, opened = login.client, login.session()
    if not client.call("model.party.party.search_count", [["name", "=", PARTY]], {}, session=opened):
        client.call("model.party.party.create", [{"name": PARTY}], {}, session=opened)
    return PARTY


def count_parties(login: Login, name: str) -> int:
    """How many parties called ``name`` the first user finds."""
    found: Any = login.client.call("model.party.party.search_count", [["name", "=", name]], {}, session=login.session())
    return int(found)


def count_records(login: Login, kinds: dict[str, str]) -> dict[str, int]:
    """How many records of each of ``kinds`` (by solution) the server has; it refuses a kind that it does not know."""
    client, opened = login.client, login.session()
    return {kind: int(client.call(f"model.{kind}.search_count", [], {}, session=opened)) for kind in kinds.values()}
