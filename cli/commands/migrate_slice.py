"""What the commands of `coopctl migrate` do where a migration moves one member's slice."""

from typing import TYPE_CHECKING

from provisioner.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from provisioner.operations.migration_ending import Aborted
    from provisioner.operations.migration_run import Report
    from provisioner.operations.migration_site import MigrationSite
    from provisioner.operations.slice_site import SliceSite

    Now = Callable[[], datetime]


def preflight(site: "MigrationSite", *, now: "Now", events: bool, output: str) -> ExitCode:
    """Every problem."""
    from cli.views import migrate_slice as view
    from cli.views.telling import teller
    from provisioner.operations.slice_looking import preflight_slice

    found = preflight_slice(opened(site), now=now, say=teller(events=events))
    view.show_preflight(found, output=output)
    return ExitCode.PROBLEMS if found.look.errors else ExitCode.DONE


def plan(site: "MigrationSite", *, now: "Now", events: bool, output: str) -> ExitCode:
    """What becomes of every table."""
    from cli.views import migrate_slice as view
    from cli.views.telling import teller
    from provisioner.operations.slice_looking import preflight_slice

    found = preflight_slice(opened(site), now=now, say=teller(events=events))
    view.show_plan(found, output=output)
    return ExitCode.PROBLEMS if found.look.errors else ExitCode.DONE


def start(site: "MigrationSite", *, now: "Now", events: bool, output: str) -> None:
    """Copy the slice."""
    from cli.views import migrate_slice as view
    from cli.views.migrate import reporter
    from provisioner.operations.slice_moving import start_slice

    view.show_copied(start_slice(opened(site), now=now, report=reporter(events=events)), output=output)


def verify(site: "MigrationSite", *, now: "Now", events: bool, output: str) -> ExitCode:
    """Compare, and look for leaks."""
    from cli.views import migrate_slice as view
    from cli.views.migrate import reporter
    from provisioner.operations.slice_moving import verify_slice

    found = verify_slice(opened(site), now=now, report=reporter(events=events))
    view.show_verification(found, output=output)
    return ExitCode.PROBLEMS if found.differences else ExitCode.DONE


def finalise(site: "MigrationSite", *, now: "Now", yes: bool, events: bool, output: str) -> None:
    """Hand over, after asking."""
    from cli.views import confirm
    from cli.views import migrate_slice as view
    from cli.views.migrate import reporter
    from provisioner.operations.slice_moving import finalise_slice

    sliced = opened(site)
    confirm.ask(view.finalise_question(sliced), yes=yes, events=events)
    view.show_handed_over(finalise_slice(sliced, now=now, report=reporter(events=events)), output=output)


def abort(site: "MigrationSite", *, now: "Now", report: "Report") -> "Aborted":
    """Take back what was copied."""
    from provisioner.operations.slice_moving import abort_slice

    return abort_slice(opened(site), now=now, report=report)


def erase(
    site: "MigrationSite", *, now: "Now", early: bool, cut_references: bool, yes: bool, events: bool, output: str
) -> None:
    """Erase it on the platform, after asking for the member's id."""
    from cli.views import confirm
    from cli.views import migrate_slice as view
    from cli.views.migrate import reporter
    from provisioner.operations.slice_erasing import erase_slice, require_erasable

    sliced = opened(site)
    require_erasable(sliced, now=now(), early=early)
    confirm.ask_for_name(view.erase_question(sliced), name=sliced.request.member, yes=yes, events=events)
    report = reporter(events=events)
    view.show_erased(
        erase_slice(sliced, now=now, early=early, cut_references=cut_references, report=report), output=output
    )


def opened(site: "MigrationSite") -> "SliceSite":
    """Whose slice it is, as documents and charts say."""
    from cli import wiring
    from provisioner.operations.slice_site import open_slice

    return open_slice(site, lambda: wiring.open_catalogue(estate=site.estate))
