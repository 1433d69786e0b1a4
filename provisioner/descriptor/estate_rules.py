"""What only several cooperatives together show: names that meet after derivation, domains that overlap.

A document with other problems counts too: its cooperative may have been applied while it was whole.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from provisioner.descriptor.fields import domain_name
from provisioner.descriptor.nodes import Node, ScalarNode, find, location
from provisioner.descriptor.resolving import Resolved
from provisioner.errors import Diagnostic, Location
from provisioner.naming import ClusterId, CooperativeName, TenantNames, name_problem, tenant_names

_NAME = ("metadata", "name")
_DOMAIN = ("spec", "network", "domain")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a cooperative takes for itself alone, and where its document says so; ``domain`` None: it names none."""

    name: CooperativeName
    name_at: Location
    domain: str | None
    domain_at: Location


def estate_problems(
    documents: Sequence[Resolved], *, cluster: ClusterId, named: Collection[str] | None = None
) -> list[Diagnostic]:
    """Every problem between two of ``documents``, each reported once.

    With ``named`` only those are looked at in which a cooperative of these names is one of the two, and they are
    reported there; else at the one whose name sorts later.
    """
    claims = [claim for document in documents if (claim := _claim(document)) is not None]
    ordered = sorted(claims, key=lambda claim: (_is_named(claim, named), claim.name))
    return [*_names(ordered, cluster=cluster, named=named), *_domains(ordered, named=named)]


def derived_names(names: TenantNames) -> list[tuple[str, str]]:
    """What a cooperative's name takes, as (kind, name). A name that equals another's namespace or role counts
    as that name: whoever reads `rice-data` must not have to guess."""
    folded = [role.replace("_", "-") for role in names.roles]
    taken = {names.cooperative, names.apps_namespace, names.data_namespace, *folded}
    return [
        *(("name", name) for name in sorted(taken)),
        ("database", names.database),
        ("bucket", names.bucket),
        ("mark", names.uid),
    ]


def _is_named(claim: Claim, named: Collection[str] | None) -> bool:
    return named is None or claim.name in named


def _claim(document: Resolved) -> Claim | None:
    """The file's name is the cooperative's: another one in the text is a problem of its own."""
    name = document.source.stem
    if name_problem(name) is not None:
        return None
    name_node, domain_node = _scalar(document.merged, _NAME), _scalar(document.merged, _DOMAIN)
    beginning = Location(file=document.source)
    return Claim(
        name=CooperativeName(name),
        name_at=location(name_node) if name_node else beginning,
        domain=_domain(domain_node) if domain_node else None,
        domain_at=location(domain_node) if domain_node else beginning,
    )


def _scalar(root: Node | None, path: tuple[str, ...]) -> ScalarNode | None:
    node, found = find(root, path) if root else (None, False)
    return node if found and isinstance(node, ScalarNode) else None


def _domain(node: ScalarNode) -> str | None:
    try:
        return domain_name(node.text)
    except PydanticCustomError:
        return None


def _names(claims: Sequence[Claim], *, cluster: ClusterId, named: Collection[str] | None) -> Iterator[Diagnostic]:
    owners: dict[tuple[str, str], Claim] = {}
    for claim in claims:
        for kind, name in derived_names(tenant_names(claim.name, cluster=cluster)):
            owner = owners.setdefault((kind, name), claim)
            # Those that are named come last: a later one that is not is at odds with another of its kind.
            if owner is not claim and _is_named(claim, named):
                yield Diagnostic(
                    message=f"{claim.name!r} would meet {owner.name!r}: both mean the {kind} {name!r}",
                    location=claim.name_at,
                    path=".".join(_NAME),
                    hint="choose a name that neither begins nor ends like the other's",
                )


def _domains(claims: Sequence[Claim], *, named: Collection[str] | None) -> Iterator[Diagnostic]:
    owners: dict[str, Claim] = {}
    for claim in claims:
        if claim.domain is not None:
            owners.setdefault(claim.domain, claim)
    for claim in claims:
        for domain in _itself_and_above(claim.domain):
            owner = owners.get(domain)
            if owner is None or owner is claim:
                continue
            if _is_named(claim, named):
                relation = "is also" if domain == claim.domain else "lies below"
                yield _overlap(claim, relation, owner)
            elif _is_named(owner, named):
                yield _overlap(owner, "lies above", claim)


def _overlap(claim: Claim, relation: str, other: Claim) -> Diagnostic:
    same = claim.domain == other.domain
    return Diagnostic(
        message=f"{claim.domain} {relation} the domain of {other.name}{'' if same else f', {other.domain}'}",
        location=claim.domain_at,
        path=".".join(_DOMAIN),
        hint="give each cooperative a domain of its own, none below another's",
    )


def _itself_and_above(domain: str | None) -> Iterator[str]:
    labels = domain.split(".") if domain else []
    for index in range(len(labels)):
        yield ".".join(labels[index:])
