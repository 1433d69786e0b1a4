"""What a solution's chart says about itself as something on offer: by whom, under which terms, and what it needs.

Written as annotations of Chart.yaml (`coopctl.dev/publisher` and so on), each a text in the form that is checked here.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from provisioner.descriptor.fields import shown
from provisioner.errors import UsageError

FREE = "free"
# SPDX specification 2.3, Annex D, without parentheses: no licence of the catalogue needs them.
_LICENCE = re.compile(r"[A-Za-z0-9.-]+\+?( (AND|OR|WITH) [A-Za-z0-9.-]+\+?)*")
_LICENCE_MAX = 200
_PRICE = re.compile(r"(?P<won>[1-9]\d{0,8}) KRW per (?P<per>cooperative|member) and month")
_EGRESS = re.compile(r"(?P<host>[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?):(?P<port>[1-9]\d{0,4})")
_LAST_PORT = 65535
# RFC 3986: a scheme, and a path below the authority; {database} stands for the name of the cooperative's database.
_SERVING = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,20}) (?P<port>[1-9]\d{0,4}):(?P<pod>[1-9]\d{0,4})"
    r"( (?P<path>/([A-Za-z0-9._~/=-]|\{database\}){0,200}))?"
)


class Review(StrEnum):
    """How far the review of a solution is: only approved ones are for everybody."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


class PricePer(StrEnum):
    """For whom a price is paid."""

    COOPERATIVE = "cooperative"
    MEMBER = "member"


class Size(StrEnum):
    """A size of the templates, the smallest first."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a month costs after the support period, in KRW."""

    won: int
    per: PricePer = PricePer.COOPERATIVE


@dataclass(frozen=True, kw_only=True)
class Egress:
    """A server outside the platform that a solution talks to."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How those that integrate with a solution reach it: at its Service's ``port``, which leads to its ``pod_port``.

    ``path`` is what follows in the address, with ``{database}`` for the name of the cooperative's database.
    """

    scheme: str
    port: int
    pod_port: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.scheme} {self.port}:{self.pod_port} {self.path}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a cooperative must have for a solution: extensions of the database, a bucket, ways out, a size."""

    extensions: tuple[str, ...] = ()
    bucket: bool = False
    egress: tuple[Egress, ...] = ()
    size: Size = Size.SMALL


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The terms of a solution. None is what its chart does not say; an unreviewed chart is proposed."""

    publisher: str | None = None
    licence: str | None = None
    source: str | None = None
    support_contact: str | None = None
    price: Price | None = None
    review: Review = Review.PROPOSED
    needs: Needs = Needs()


def parse_licence(text: str) -> str:
    """A licence by its SPDX expression, such as ``GPL-3.0-or-later``. Raises UsageError."""
    if len(text) > _LICENCE_MAX or not _LICENCE.fullmatch(text):
        raise UsageError(
            f"{shown(text)} is no SPDX licence expression", hint="such as `Apache-2.0 AND GPL-3.0-or-later`"
        )
    return text


def parse_price(text: str) -> Price:
    """``free``, or ``3000 KRW per member and month``. Raises UsageError."""
    if text == FREE:
        return Price(won=0)
    found = _PRICE.fullmatch(text)
    if found is None:
        raise UsageError(f"{shown(text)} is no price", hint=f"`{FREE}`, or `3000 KRW per member and month`")
    return Price(won=int(found["won"]), per=PricePer(found["per"]))


def parse_egress(text: str) -> Egress:
    """A host and a port, such as ``tax.example.kr:443``. Raises UsageError."""
    found = _EGRESS.fullmatch(text)
    if found is None or int(found["port"]) > _LAST_PORT:
        raise UsageError(f"{shown(text)} is no host and port", hint="such as `tax.example.kr:443`")
    return Egress(host=found["host"], port=int(found["port"]))


def parse_serving(text: str) -> Serving:
    """A scheme, the Service's port and the pods', such as ``http 80:8000``, perhaps with a path. Raises UsageError."""
    found = _SERVING.fullmatch(text)
    if found is None or max(int(found["port"]), int(found["pod"])) > _LAST_PORT:
        raise UsageError(f"{shown(text)} says no scheme and ports", hint="such as `http 80:8000 /{database}/`")
    return Serving(
        scheme=found["scheme"], port=int(found["port"]), pod_port=int(found["pod"]), path=found["path"] or ""
    )
