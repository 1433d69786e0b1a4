"""`coopctl doctor`: what is missing, too old or misconfigured on this machine, each with its remedy."""

import os
from pathlib import Path

import click

from cli import options
from provisioner.errors import ExitCode


@click.command(epilog="Example: coopctl doctor --estate examples/pilot")
@options.estate
@options.output
def doctor(estate_path: Path | None, output: str) -> ExitCode:
    """Say what is missing, too old or misconfigured on this machine, each with its remedy. Changes nothing.

    Where an estate is near or given, it looks at that too: platform.yaml, the passphrase, the kubeconfig and its
    context, credentials, whether each server (Kubernetes, PostgreSQL, S3, registry) answers, whether others hold ports
    of the embedded platform, and what migrations have left on the servers. Exit code 0: all is fine; 11: something is
    to be done. What only a real node needs is said as such: without it the embedded platform simulates its nodes.
    """
    from cli import wiring
    from cli.views import doctor as view
    from provisioner.operations import diagnosing
    from provisioner.toolchain import checks, findings, machine

    estate = wiring.nearest_estate(estate_path)
    place = estate.root if estate else Path.cwd()
    facts = machine.look(wiring.open_toolchain(), estate=place, wanted_programs=checks.PROGRAM_NAMES)
    found = findings.examine(facts, checks=checks.CHECKS)
    if estate is not None:
        estate_facts = diagnosing.look_at_estate(estate, environment=os.environ)
        found += findings.examine(estate_facts, checks=diagnosing.ESTATE_CHECKS)
    view.show(found, output=output)
    return ExitCode.PROBLEMS if checks.has_problems(found) else ExitCode.DONE
