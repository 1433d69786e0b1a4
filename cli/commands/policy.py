"""`coopctl policy`: judge by the rules without a cluster, list them, explain one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import completion, options
from provisioner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from provisioner.operations.policy_checking import Verdict


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which cooperatives were asked for."""

    names: tuple[str, ...]
    selectors: tuple[str, ...]
    everyone: bool

    @property
    def any(self) -> bool:
        """Whether any was."""
        return bool(self.names or self.selectors or self.everyone)


@click.group(epilog="Example: coopctl policy check --all")
def policy() -> None:
    """Judge cooperatives by the rules that keep them apart, list the rules, explain one. Needs no cluster."""


@policy.command(epilog="Example: coopctl policy check --all --output sarif > coopctl.sarif")
@options.names
@click.option(
    "--file",
    "manifests",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Judge the manifests of this file, as if the cooperative of --as brought them.",
)
@click.option(
    "--as",
    "tenant",
    metavar="NAME",
    shell_complete=completion.cooperatives,
    help="The cooperative that would bring the manifests of --file.",
)
@options.images_lock
@options.estate
@options.output_or_sarif
def check(
    *,
    names: tuple[str, ...],
    selector: tuple[str, ...],
    everyone: bool,
    manifests: Path | None,
    tenant: str | None,
    images_lock: Path | None,
    estate_path: Path | None,
    output: str,
) -> ExitCode:
    """Judge all that cooperatives would get, or the manifests of a file, by every rule that judges one object.

    Charts are rendered, hooks too. What the platform's own builders make is judged as the platform's, what a chart or
    a file brings as the tenant's. Exit code 5 if a rule is broken and no exception holds, or one has run out.
    """
    from cli.views import policy as view

    if manifests is None and tenant is not None:
        raise UsageError("--as is for the manifests of a file", hint="give --file too, or the name without --as")
    asked = Asked(names=names, selectors=selector, everyone=everyone)
    found = (
        _of_plans(asked, lock_file=images_lock, estate_path=estate_path)
        if manifests is None
        else (_of_file(manifests, tenant=tenant, asked=asked, estate_path=estate_path),)
    )
    view.show(found, output=output)
    return ExitCode.POLICY if any(verdict.unexcused for verdict in found) else ExitCode.DONE


@policy.command("list", epilog="Example: coopctl policy list")
@options.output
def list_rules(*, output: str) -> None:
    """List every rule with who enforces it, also those that only the cluster can judge."""
    from cli.views import policy as view
    from provisioner.rules.registry import EVERY_RULE

    view.show_rules(EVERY_RULE, output=output)


@policy.command(epilog="Example: coopctl policy explain image-digest")
@click.argument("rule", shell_complete=completion.rules)
@options.output
def explain(*, rule: str, output: str) -> None:
    """Say what the rule RULE asks, why, where it comes from, who enforces it, and what to do about a violation."""
    from cli.views import policy as view
    from provisioner.rules.excepting import known_rules
    from provisioner.rules.registry import find_rule

    view.show_rule(find_rule(rule), why_fixed=known_rules().fixed.get(rule), output=output)


def _of_plans(asked: Asked, *, lock_file: Path | None, estate_path: Path | None) -> "tuple[Verdict, ...]":
    from cli import wiring
    from cli.views.telling import teller
    from provisioner.operations.selecting import require_choice, select

    require_choice(names=asked.names, selectors=asked.selectors, everyone=asked.everyone)
    estate = wiring.open_estate(estate_path)
    policing = wiring.open_tenants(estate, names=asked.names or None, report=teller(events=False))
    plan = wiring.open_plans(policing, estate=estate, lock_file=lock_file)
    cooperatives = policing.cooperatives
    found = select(cooperatives, names=asked.names, selectors=asked.selectors, everyone=asked.everyone)
    return tuple(policing.verdict(plan(cooperatives[name])) for name in found)


def _of_file(manifests: Path, *, tenant: str | None, asked: Asked, estate_path: Path | None) -> "Verdict":
    from cli import wiring
    from provisioner.operations.policy_checking import check_file

    if tenant is None or asked.any:
        raise UsageError("whose manifests are these?", hint="give --file FILE --as NAME, and no other names")
    policing = wiring.open_tenants(wiring.open_estate(estate_path), names=(tenant,))
    return check_file(manifests, by=policing.tenancy(tenant))
