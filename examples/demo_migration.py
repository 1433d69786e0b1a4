"""The demo of a move (`make demo-migration`): rice-processing goes to servers of its own, comes back, goes for good.

1. An estate of its own is set up as in `make demo`, beside it the target: PostgreSQL 18 (the platform has Debian's 15)
   and a second S3. An application commits 400 times a second all the while (application.py).
2. The data store is copied, compared and switched; then it goes back with what was written at the target; then it goes
   again, and the way back is given up. Every step is a coopctl command that is shown.
3. After each of the three ways it is judged what the application was told against what is there (move_checks.py): the
   longest gap, each commit exactly once, none at the old side after its fence, a clean verification.

It ends with a table, and with exit code 1 if a promise was not kept. A run that finds the move of an earlier one, ended
or cut off, takes its estate away and begins afresh: what its application was told nobody remembers.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from cli.wiring import image_cache
from examples.application import Application, application_in_pod, application_on_host, build_image
from examples.move_checks import Finding, Way, judge
from examples.move_journal import read_passage
from examples.moved_store import Sides, make_table, open_sides, put_objects, read_rows
from examples.pilot_estate import COOPERATIVE, copy_estate, home, run, why_no_pods
from examples.postgres_18 import unpack_programs
from examples.writing_client import longest_gap
from provisioner.migration.journal import journal_file
from provisioner.migration.journal_entries import Phase

MIGRATION = f"{COOPERATIVE}-target"
QUIET_SECONDS = 5.0
# What the application is told in its pod is read a second later.
SETTLE_SECONDS = 2.5
DUMPS = "  dumps: {{location: dumps, recipient: {recipient}}}\n"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the demo runs: its estate, and the environment of its commands."""

    estate: Path
    environment: Mapping[str, str]

    @property
    def journal(self) -> Path:
        """The migration's journal."""
        return journal_file(self.estate / ".coopctl", MIGRATION)

    def run(self, *arguments: str) -> None:
        """Show and run one coopctl command."""
        run(*arguments, estate=self.estate, environment=self.environment)

    def migrate(self, command: str, *options: str) -> None:
        """Show and run one command of the migration."""
        self.run("migrate", command, MIGRATION, *options)


@dataclass(frozen=True, kw_only=True)
class Show:
    """The demo under way: the stage, both sides of the data store, and the application that writes."""

    stage: Stage
    sides: Sides
    application: Application

    def go(self, name: str) -> list[Finding]:
        """Copy, compare and switch; judge what the application saw of it."""
        for command in ("preflight", "start", "verify"):
            self.stage.migrate(command)
        begun = time.time()
        self.stage.migrate("cutover", "--yes")
        return self._judged(name, phase=Phase.CUTOVER, begun=begun)

    def come_back(self, name: str) -> list[Finding]:
        """Bring home; judge what the application saw of it."""
        begun = time.time()
        self.stage.migrate("rollback", "--yes")
        return self._judged(name, phase=Phase.ROLLBACK, begun=begun)

    def _judged(self, name: str, *, phase: Phase, begun: float) -> list[Finding]:
        time.sleep(SETTLE_SECONDS)
        here, there = self.sides.here, self.sides.there
        old, new = (here, there) if phase is Phase.CUTOVER else (there, here)
        # In this order: what it is told of later may be missing in what was read before.
        told, rows, left = self.application.told(), read_rows(new), read_rows(old)
        if phase is Phase.CUTOVER:
            self.stage.migrate("verify")
        passage = read_passage(self.stage.journal, phase)
        way = Way(
            old=old.major,
            new=new.major,
            begun=begun,
            fenced=passage.fenced,
            told=told,
            rows=rows,
            left=left,
            differences=passage.differences,
            compared=passage.compared,
        )
        findings = list(judge(way))
        print(f"\n{name}:\n" + table(findings) + f"\n  coopctl's own clock: {passage.clock}", flush=True)
        return findings


def prepare(stage: Stage, *, node: str, programs: Path) -> Sides:
    """The estate with its cooperative applied, and the target's servers beside it."""
    copy_estate(stage.estate)
    name_dumps(stage.estate)
    stage.run("dev", "up", "--node", node, "--target", "--target-postgres", str(programs))
    stage.run("images", "build", "--used", "--push")
    stage.run("apply", COOPERATIVE, "--yes")
    stage.run("dev", "target", COOPERATIVE)
    sides = open_sides(stage.estate)
    make_table(stage.estate)
    put_objects(stage.estate)
    return sides


def name_dumps(estate: Path) -> None:
    """Let the platform know where final dumps go: to the estate, for a key that is made here."""
    from pyrage import x25519

    platform, key = estate / "platform.yaml", estate / ".coopctl" / "dumps.key"
    text = platform.read_text(encoding="utf-8")
    if "dumps:" in text:
        return
    key.parent.mkdir(mode=0o700, exist_ok=True)
    identity = x25519.Identity.generate()
    key.touch(mode=0o600)
    key.write_text(f"{identity}\n", encoding="utf-8")
    platform.write_text(text + DUMPS.format(recipient=identity.to_public()), encoding="utf-8")
    print(f"# platform.yaml names a place for final dumps; the key that opens them is {key}")


def forget_earlier(stage: Stage) -> None:
    """Take the estate of an earlier run away, if it had begun to move."""
    if not stage.journal.exists():
        return
    print("# An earlier run has moved this estate's data store: it is taken away, and the demo begins afresh.")
    stage.run("dev", "down", "--delete", "--yes")
    shutil.rmtree(stage.estate)


def application(stage: Stage) -> AbstractContextManager[Application]:
    """The application, in a pod where pods run."""
    no_pods = why_no_pods(stage.estate)
    if no_pods is None:
        return application_in_pod(stage.estate, image=build_image(cache=image_cache()))
    print(f"\n# {no_pods}")
    return application_on_host(stage.estate)


def quiet(writer: Application) -> str:
    """What the application does while nothing is moved."""
    begun = time.time()
    time.sleep(QUIET_SECONDS + SETTLE_SECONDS)
    moments = [one.moment for one in writer.told().values() if begun <= one.moment <= begun + QUIET_SECONDS]
    gap, _ = longest_gap(moments)
    return f"{len(moments) / QUIET_SECONDS:.0f} commits a second, the longest gap is {gap:.3f} s while nothing moves"


def play(stage: Stage, *, node: str, programs: Path) -> dict[str, list[Finding]]:
    """The whole move; what was found on each way."""
    sides = prepare(stage, node=node, programs=programs)
    versions = f"PostgreSQL {sides.here.major}", f"PostgreSQL {sides.there.major}"
    there, back = " -> ".join(versions), " -> ".join(reversed(versions))
    with application(stage) as writer:
        print(f"\nThe application writes {writer.where}: {quiet(writer)}", flush=True)
        show = Show(stage=stage, sides=sides, application=writer)
        found = {f"There, {there}": show.go(f"There, {there}")}
        found[f"And back, {back}"] = show.come_back(f"And back, {back}")
        stage.run("dev", "target", COOPERATIVE, "--empty", "--yes")
        found[f"There for good, {there}"] = show.go(f"There for good, {there}")
        stage.migrate("finalise", "--yes")
    stage.run("apply", COOPERATIVE, "--yes")
    stage.run("status", COOPERATIVE)
    return found


def table(findings: Sequence[Finding]) -> str:
    """A line each: whether it was kept, and what was seen."""
    lines = (f"{'ok' if one.kept else 'BROKEN':7} {one.claim}\n        {one.seen}" for one in findings)
    return indent("\n".join(lines), "  ")


def summary(found: Mapping[str, Sequence[Finding]], *, seconds: float, estate: Path) -> str:
    """The demo's last words."""
    findings = [one for way in found.values() for one in way]
    kept = f"{sum(one.kept for one in findings)} of {len(findings)} promises were kept; {seconds:.0f} s."
    ways = "\n".join(f"{name}\n{table(way)}" for name, way in found.items())
    away = f"{Path(sys.executable).with_name('coopctl')} dev down --delete --estate {estate}"
    return f"{ways}\n\n{kept} The estate: {estate}. To take it away: {away}"


def main(arguments: list[str]) -> int:
    """Run the demo; 0 if every promise was kept, else 1, or the exit code of the command that failed."""
    parser = argparse.ArgumentParser(prog="make demo-migration", description="Move rice-processing, and bring it back.")
    parser.add_argument("--where", action="store_true", help="print the demo's estate and do nothing")
    parser.add_argument("--node", choices=("auto", "real", "simulated"), default="auto", help="as of `coopctl dev up`")
    chosen = parser.parse_args(arguments)
    estate = home("demo-migration", variable="COOPCTL_DEMO_MIGRATION")
    if chosen.where:
        print(estate)
        return 0
    began = time.monotonic()
    programs = unpack_programs(estate.with_name("postgres-18"))
    print(f"$ export PATH={programs}:$PATH  # client programs as new as the newer server")
    stage = Stage(
        estate=estate, environment={**os.environ, "PATH": os.pathsep.join((str(programs), os.environ["PATH"]))}
    )
    forget_earlier(stage)
    found = play(stage, node=chosen.node, programs=programs)
    print("\n" + summary(found, seconds=time.monotonic() - began, estate=estate))
    return 0 if all(one.kept for way in found.values() for one in way) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
