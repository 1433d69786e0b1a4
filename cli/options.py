"""The options that commands share."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cli import completion

F = TypeVar("F", bound=Callable[..., Any])
_DAY = 86_400


class _Seconds(click.FloatRange):
    """A time; ``nan`` is a float that lies in no range and outside of none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, which is one."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return number


def estate(function: F) -> F:
    """--estate: the estate's folder; without it, COOPCTL_ESTATE, or the nearest folder upwards with platform.yaml."""
    return click.option(
        "--estate",
        "estate_path",
        type=click.Path(path_type=Path),
        # Set and empty is not set: a pipeline cannot always unset.
        default=lambda: os.environ.get("COOPCTL_ESTATE") or None,
        help="The estate's folder (default: $COOPCTL_ESTATE, else found upwards by platform.yaml).",
    )(function)


def output(function: F) -> F:
    """--output text|json: the form of the answer on stdout."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="The form of the answer on stdout.",
    )(function)


def output_or_sarif(function: F) -> F:
    """--output text|json|sarif: the form of what was judged."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json", "sarif"]),
        default="text",
        show_default=True,
        help="The form of the answer on stdout.",
    )(function)


def catalogue(function: F) -> F:
    """--catalogue DIR: another folder of charts than those that come with coopctl."""
    return click.option(
        "--catalogue",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="A folder of charts (default: those that come with coopctl).",
    )(function)


def name(function: F) -> F:
    """NAME: one cooperative, completed from the estate's files."""
    return click.argument("name", shell_complete=completion.cooperatives)(function)


def member_id(function: F) -> F:
    """ID: one member of the cooperative NAME, completed from its list."""
    return click.argument("member_id", metavar="ID", shell_complete=completion.members)(function)


def names(function: F) -> F:
    """NAMES, -l/--selector and --all: which cooperatives a command works on."""
    function = click.option("--all", "everyone", is_flag=True, help="Every cooperative of the estate.")(function)
    function = click.option(
        "-l",
        "--selector",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Cooperatives whose sector, template or size has this value; may be repeated.",
    )(function)
    return click.argument("names", nargs=-1, shell_complete=completion.cooperatives)(function)


def timeout(function: F) -> F:
    """--timeout: how long solutions' pods may take."""
    return click.option(
        "--timeout",
        type=_Seconds(0, _DAY),
        default=600.0,
        show_default=True,
        metavar="SECONDS",
        help="Seconds for the solutions' pods; 0 does not wait.",
    )(function)


def images_lock(function: F) -> F:
    """--images-lock: where images are pinned from."""
    return click.option(
        "--images-lock",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Pin images from this file instead of the estate's images.lock.",
    )(function)


def yes(function: F) -> F:
    """--yes: do not ask."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")(function)


def fleet(function: F) -> F:
    """--concurrency and --fail-fast: how a run over several cooperatives behaves."""
    function = click.option("--fail-fast", is_flag=True, help="Begin no further cooperative after the first failure.")(
        function
    )
    return click.option(
        "--concurrency",
        type=click.IntRange(1, 32),
        default=3,
        show_default=True,
        help="How many cooperatives are worked on at a time.",
    )(function)


def max_destroy(function: F) -> F:
    """--max-destroy: the blast-radius limit."""
    return click.option(
        "--max-destroy",
        type=click.IntRange(0),
        metavar="N",
        help="Change nothing at all if more than N resources would be deleted or replaced.",
    )(function)


def events(function: F) -> F:
    """--events: all of stderr as NDJSON."""
    return click.option(
        "--events",
        is_flag=True,
        help="Say all on stderr (progress, plan, questions, failures) as one JSON object a line.",
    )(function)


def detailed_exitcode(function: F) -> F:
    """--detailed-exitcode: changes or drift have an exit code of their own."""
    return click.option(
        "--detailed-exitcode",
        is_flag=True,
        help="Exit with 10 if there are changes or drift, 11 if there are problems.",
    )(function)
