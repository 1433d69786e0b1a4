"""`coopctl migrate`: moves a data store to infrastructure that is not the platform's."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import completion, options
from cli.commands import migrate_estate, migrate_slice
from cli.commands import migrate_site as opening
from provisioner.errors import ExitCode

if TYPE_CHECKING:
    from provisioner.migration.run_report import Language

WATCH_SECONDS = 2.0


@click.group(epilog="Example: coopctl migrate preflight rice-own-infrastructure")
def migrate() -> None:
    """Move a cooperative's data store to its own PostgreSQL and S3: look, copy, verify, switch, go back.

    A migration is a document in migrations/ (see `coopctl schema`), and NAME is its name.
    """


migrate.add_command(migrate_estate.estate)

_name = click.argument("name", shell_complete=completion.migrations)


@migrate.command(epilog="Example: coopctl migrate preflight rice-own-infrastructure")
@_name
@click.option("--target-only", is_flag=True, help="Look at the target alone: nothing of the platform is needed.")
@options.events
@options.estate
@options.output
def preflight(*, name: str, target_only: bool, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Look at both sides and name every problem at once, each with its remedy. Nothing of the data store is changed.

    With --target-only a cooperative checks its own servers: a folder with migrations/NAME.yaml and the target's
    credentials are enough. Exit code 11 if something must be mended first; warnings alone are 0.
    """
    from cli.views import migrate as view
    from cli.views.telling import teller
    from provisioner.operations.preflighting import preflight_both, preflight_target

    say = teller(events=events)
    if target_only:
        found = preflight_target(opening.target(estate_path, name), now=opening.now, say=say)
    elif (site := opening.site(estate_path, name)).migration.member is not None:
        return migrate_slice.preflight(site, now=opening.now, events=events, output=output)
    else:
        found = preflight_both(site, now=opening.now, say=say)
    view.show_preflight(found, output=output)
    return ExitCode.PROBLEMS if found.errors else ExitCode.DONE


@migrate.command(epilog="Example: coopctl migrate plan rice-own-infrastructure --output json")
@_name
@options.events
@options.estate
@options.output
def plan(*, name: str, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Show the steps of a migration with about how long each takes, and how long the applications wait.

    It looks at both sides as a preflight does, and counts as one. Exit code 11 if something must be mended first.
    """
    from cli.views import migrate as view
    from cli.views.telling import teller
    from provisioner.operations.preflighting import preflight_both

    site = opening.site(estate_path, name)
    if site.migration.member is not None:
        return migrate_slice.plan(site, now=opening.now, events=events, output=output)
    found = preflight_both(site, now=opening.now, say=teller(events=events))
    view.show_plan(found, output=output)
    return ExitCode.PROBLEMS if found.errors else ExitCode.DONE


@migrate.command(epilog="Example: coopctl migrate start rice-own-infrastructure --in-platform")
@_name
@click.option(
    "--in-platform", is_flag=True, help="In a Job of the platform's cluster: it goes on when this machine is off."
)
@options.events
@options.estate
@options.output
def start(*, name: str, in_platform: bool, events: bool, estate_path: Path | None, output: str) -> None:
    """Copy the data store while people work, and let the target follow, until both sides hold the same.

    Killed or interrupted, the same command goes on; run once more, it copies the objects that have come since. The
    target's server goes on following by itself. With --in-platform the command ends when the Job has begun, and
    `status --watch` shows how far it is; it needs the state in a bucket, and the image `coopctl` in the registry.
    """
    from cli.views import migrate as view
    from provisioner.operations.migrating import start as begin
    from provisioner.operations.migration_in_platform import start_in_platform

    site = opening.site(estate_path, name)
    if in_platform:
        sliced = migrate_slice.opened(site) if site.migration.member is not None else None
        begun = start_in_platform(site, sliced=sliced, now=opening.now, report=view.reporter(events=events))
        view.show_begun_in_platform(begun, output=output)
        return
    if site.migration.member is not None:
        migrate_slice.start(site, now=opening.now, events=events, output=output)
        return
    followed = begin(site, now=opening.now, report=view.reporter(events=events))
    view.show_followed(name, followed, output=output)


@migrate.command(epilog="Example: coopctl migrate status rice-own-infrastructure --watch")
@_name
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@options.estate
@options.output
def status(*, name: str, watch: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Show how far a migration is, how far the target is behind, and what it has on the platform's server.

    Exit code 11 if the server keeps something for a migration that is not under way: it may fill the disk.
    """
    import time

    from cli.views import migrate as view
    from provisioner.operations.migration_status import read_status

    site = opening.site(estate_path, name)
    while True:
        found = read_status(site, now=opening.now())
        view.show_status(found, output=output)
        if not watch:
            return ExitCode.PROBLEMS if found.orphaned else ExitCode.DONE
        time.sleep(WATCH_SECONDS)


@migrate.command(epilog="Example: coopctl migrate verify rice-own-infrastructure")
@_name
@options.events
@options.estate
@options.output
def verify(*, name: str, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Compare both sides while people work: every row, the schema, and every object's bytes and metadata.

    It may be repeated at any time, after the switch, too: then the platform's copy, which a rollback goes back to, is
    compared with the target. Exit code 11 if anything differs; each difference is named.
    """
    from cli.views import migrate as view
    from provisioner.operations.migration_checking import verify as compare

    site = opening.site(estate_path, name)
    if site.migration.member is not None:
        return migrate_slice.verify(site, now=opening.now, events=events, output=output)
    found = compare(site, now=opening.now, report=view.reporter(events=events))
    view.show_verification(found, output=output)
    return ExitCode.PROBLEMS if found.differences else ExitCode.DONE


@migrate.command(epilog="Example: coopctl migrate rehearse rice-own-infrastructure")
@_name
@options.events
@options.estate
@options.output
def rehearse(*, name: str, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Do everything but the switch, measure it, and take it all away again: copy, follow, verify, clean up.

    Nobody is kept out meanwhile. Killed or interrupted, the same command goes on. Exit code 11 if anything differed.
    """
    from cli.views import migrate as view
    from provisioner.operations.migration_ending import rehearse as walk

    site = opening.whole(estate_path, name, verb="rehearse")
    found = walk(site, now=opening.now, report=view.reporter(events=events))
    view.show_rehearsed(found, output=output)
    return ExitCode.PROBLEMS if found.verification.differences else ExitCode.DONE


@migrate.command(epilog="Example: coopctl migrate abort rice-own-infrastructure")
@_name
@options.yes
@options.events
@options.estate
@options.output
def abort(*, name: str, yes: bool, events: bool, estate_path: Path | None, output: str) -> None:
    """Give a migration or rehearsal up: the source is as if nothing had been, and the copies at the target go. Asks.

    A Job in the platform that works on it is ended first. Killed or interrupted, the same command goes on.
    """
    from cli.views import confirm
    from cli.views import migrate as view
    from provisioner.operations.migration_ending import abort as give_up
    from provisioner.operations.migration_job import end_in_platform
    from provisioner.operations.migration_run import Told, require_open

    site = opening.site(estate_path, name)
    confirm.ask(view.abort_question(site, require_open(site)), yes=yes, events=events)
    report = view.reporter(events=events)
    end_in_platform(site, say=lambda text: report(Told(text=text)))
    if site.migration.member is not None:
        aborted = migrate_slice.abort(site, now=opening.now, report=report)
    else:
        aborted = give_up(site, now=opening.now, report=report)
    view.show_aborted(name, aborted, output=output)


@migrate.command(epilog="Example: coopctl migrate cutover rice-own-infrastructure")
@_name
@options.yes
@options.events
@options.estate
@options.output
def cutover(*, name: str, yes: bool, events: bool, estate_path: Path | None, output: str) -> None:
    """Switch: the applications go on at the target, without a restart, and can come back. Asks.

    Inside the document's window and below its maxLag only, and after a verification that passed. What fails before the
    switch lifts the fence by itself. Killed or interrupted, the same command goes on. Exit code 11 while something
    stands in the way.
    """
    from cli.views import confirm
    from cli.views import migrate_switch as view
    from cli.views.migrate import reporter
    from provisioner.operations.migration_cutting import cutover as switch
    from provisioner.operations.migration_run import require_open

    site = opening.whole(estate_path, name, verb="cutover")
    require_open(site)
    confirm.ask(view.cutover_question(site), yes=yes, events=events)
    view.show_switched(switch(site, now=opening.now, report=reporter(events=events)), output=output)


@migrate.command(epilog="Example: coopctl migrate relay rice-own-infrastructure --watch")
@_name
@click.option("--watch", is_flag=True, help="Go on until the migration ends, or until Ctrl-C or SIGTERM.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how long to wait between two rounds.",
)
@options.events
@options.estate
@options.output
def relay(*, name: str, watch: bool, every: float, events: bool, estate_path: Path | None, output: str) -> None:
    """Bring back what was written at the target since the switch, while people work, so that a rollback is short.

    Until it is brought back the target's server keeps it on its disk. With --watch it is brought back all the time, and
    each round says how far the platform's copy was behind; killed, it is started again and goes on.
    """
    import time

    from cli.views import migrate_switch as view
    from cli.views.migrate import reporter
    from provisioner.operations.migration_relaying import keep_relaying
    from provisioner.operations.migration_returning import relay as bring_back

    site, report = opening.whole(estate_path, name, verb="relay"), reporter(events=events)
    if not watch:
        view.show_brought_back(bring_back(site, now=opening.now, report=report), output=output)
        return
    keep_relaying(
        site,
        now=opening.now,
        report=report,
        brought=lambda found: view.show_brought_back(found, output=output),
        pause=lambda: time.sleep(every),
    )


@migrate.command(epilog="Example: coopctl migrate rollback rice-own-infrastructure")
@_name
@options.yes
@options.events
@options.estate
@options.output
def rollback(*, name: str, yes: bool, events: bool, estate_path: Path | None, output: str) -> None:
    """Go back: before the switch as if nothing had been, after it with all that was written at the target. Asks.

    Possible until `finalise` or the end of keepSource. Killed or interrupted, the same command goes on.
    """
    from cli.views import confirm
    from cli.views import migrate_switch as view
    from cli.views.migrate import reporter
    from provisioner.operations.migration_returning import roll_back
    from provisioner.operations.migration_run import require_open

    site = opening.whole(estate_path, name, verb="rollback")
    confirm.ask(view.rollback_question(site, require_open(site)), yes=yes, events=events)
    view.show_rolled_back(roll_back(site, now=opening.now, report=reporter(events=events)), output=output)


@migrate.command(epilog="Example: coopctl migrate finalise rice-own-infrastructure")
@_name
@options.yes
@options.events
@options.estate
@options.output
def finalise(*, name: str, yes: bool, events: bool, estate_path: Path | None, output: str) -> None:
    """End a migration: the way back is given up, and the source is dumped for the last time, encrypted. Asks.

    The platform must name a place and a recipient for dumps. Killed or interrupted, the same command goes on.
    """
    from cli.views import confirm
    from cli.views import migrate_switch as view
    from cli.views.migrate import reporter
    from provisioner.operations.dumping import require_dumps
    from provisioner.operations.migration_finalising import finalise as end
    from provisioner.operations.migration_run import require_open

    site = opening.site(estate_path, name)
    require_open(site)
    if site.migration.member is not None:
        migrate_slice.finalise(site, now=opening.now, yes=yes, events=events, output=output)
        return
    require_dumps(site.platform)
    confirm.ask(view.finalise_question(site), yes=yes, events=events)
    view.show_finalised(end(site, now=opening.now, report=reporter(events=events)), output=output)


@migrate.command(epilog="Example: coopctl migrate erase rice-own-infrastructure")
@_name
@click.option("--early", is_flag=True, help="Before the end of keepSource, too.")
@click.option(
    "--cut-references",
    is_flag=True,
    help="Of a member's slice: let rows of others that refer to the member's refer to nothing.",
)
@options.yes
@options.events
@options.estate
@options.output
def erase(
    *, name: str, early: bool, cut_references: bool, yes: bool, events: bool, estate_path: Path | None, output: str
) -> None:
    """Erase what the platform still holds of a data store that has moved for good, and prove that it is gone.

    After `finalise` alone. The final dump is verified first, or made anew; then database, bucket with every version,
    identity and roles go, and all of them are looked up again, and whether anything of somebody else's is missing. Asks
    for the cooperative's name. Of a member's slice its rows and objects go, if they are what was handed over, and sums
    prove that all other rows are as they were; asks for the member's id. Killed or interrupted, the same command goes
    on. Exit code 11 if anything is left.
    """
    from cli.views import confirm
    from cli.views import migrate_erase as view
    from cli.views.migrate import reporter
    from provisioner.operations.migration_erasing import erase_source, require_erasable

    site = opening.site(estate_path, name)
    if site.migration.member is not None:
        migrate_slice.erase(
            site, now=opening.now, early=early, cut_references=cut_references, yes=yes, events=events, output=output
        )
        return
    require_erasable(site, now=opening.now(), early=early)
    cooperative = str(site.tenant.cooperative)
    confirm.ask_for_name(view.question(site), name=cooperative, yes=yes, events=events)
    view.show(erase_source(site, now=opening.now, early=early, report=reporter(events=events)), output=output)


@migrate.command(epilog="Example: coopctl migrate report rice-own-infrastructure --language ko --html > report.html")
@_name
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="English or Korean.")
@click.option("--html", is_flag=True, help="A page that stands alone, to be kept or printed, in the place of text.")
@options.estate
@options.output
def report(*, name: str, language: "Language", html: bool, estate_path: Path | None, output: str) -> None:
    """Print what was moved, verified and switched, how and when, for people to sign off. Only the journal is read."""
    from cli import wiring
    from cli.views import migrate_switch as view
    from provisioner.operations.migration_status import read_reported

    found = read_reported(wiring.open_estate(estate_path), name)
    view.show_report(found, language=language, html=html, output=output)


@migrate.command(epilog="Example: coopctl migrate orphans --remove")
@click.option("--remove", is_flag=True, help="Remove them, after asking.")
@options.yes
@options.events
@options.estate
@options.output
def orphans(*, remove: bool, yes: bool, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Show what migrations have left on the platform's servers, and no open one of this estate accounts for.

    An orphaned slot keeps WAL until the disk is full, a fence keeps applications out. A migration with its journal on
    another machine alone looks the same: remove only what nobody works on. Exit code 11 if there are any and they stay.
    """
    import os

    from cli import wiring
    from cli.views import confirm
    from cli.views import migrate_switch as view
    from provisioner.operations.migration_orphans import find_orphaned, remove_orphaned

    estate = wiring.open_estate(estate_path)
    found = find_orphaned(estate, environment=os.environ)
    if remove and found:
        confirm.ask(view.orphans_question(found), yes=yes, events=events)
        for one in found:
            remove_orphaned(estate, one, environment=os.environ)
    view.show_orphans(found, removed=remove, output=output)
    return ExitCode.PROBLEMS if found and not remove else ExitCode.DONE
