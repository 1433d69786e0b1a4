"""`coopctl catalogue`: the solutions on offer: list them, show one, judge charts before anybody chooses them."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from cli import completion, options
from provisioner.errors import CoopctlError, ExitCode


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of solutions, from the charts' files."""
    from cli import wiring

    try:
        estate = wiring.nearest_estate(ctx.params.get("estate_path"))
        names = wiring.open_catalogue(ctx.params.get("folder"), estate=estate).names
    except CoopctlError:
        return []
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.group(epilog="Example: coopctl catalogue list")
def catalogue() -> None:
    """List the solutions on offer, show one, judge charts, take them in, and see that all is as it was."""


@catalogue.command("list", epilog="Example: coopctl catalogue list --sector food-processing")
@click.option("--category", type=click.Choice(["basic", "specialised"]), help="Only solutions of this kind.")
@click.option("--sector", metavar="SECTOR", help="Only solutions for this sector; those for every sector too.")
@options.catalogue
@options.estate
@options.output
def list_command(
    *, category: str | None, sector: str | None, folder: Path | None, estate_path: Path | None, output: str
) -> None:
    """List the solutions: names, category, version, review, price after the support period, licence.

    Those that come with coopctl are listed, and with an estate near its own, from its folder charts/.
    """
    from cli import wiring
    from cli.views import catalogue as view

    offered = wiring.open_catalogue(folder, estate=wiring.nearest_estate(estate_path))
    found = offered.matching(category=category, sector=sector)
    view.show_list(found, output=output)


@catalogue.command(epilog="Example: coopctl catalogue show portal")
@click.argument("name", shell_complete=_complete)
@options.catalogue
@options.estate
@options.output
def show(*, name: str, folder: Path | None, estate_path: Path | None, output: str) -> None:
    """Show all that is known of the solution NAME: terms, needs, images, packages, whose its data are.

    Digests of images are those of the estate's images.lock, if there is an estate; their packages are known where the
    images were built.
    """
    from cli import wiring
    from cli.views import catalogue as view
    from provisioner.catalogue.images.contents import image_contents

    estate = wiring.nearest_estate(estate_path)
    solution = wiring.open_catalogue(folder, estate=estate).solution(name)
    lock_file = estate.images_lock if estate else None
    contents = image_contents(solution.images, lock_file=lock_file, cache=wiring.image_cache())
    view.show_solution(solution, contents=contents, output=output)


@catalogue.command(epilog="Example: coopctl catalogue lint ./my-chart --output sarif > coopctl.sarif")
@click.argument("charts", nargs=-1, metavar="[CHART]...", shell_complete=_complete)
@options.catalogue
@options.estate
@options.output_or_sarif
def lint(*, charts: tuple[str, ...], folder: Path | None, estate_path: Path | None, output: str) -> ExitCode:
    """Judge each CHART (a folder, or a name of the catalogue; without: all of it) before anybody installs it.

    Its files are read, and it is rendered for example cooperatives of the smallest size that it is for. Whatever breaks
    a rule is named with file and line; exit code 5. With an estate near, the examples are on its platform and from its
    templates too. No server is asked.
    """
    from cli import wiring
    from cli.views import linted as view
    from provisioner.operations.linting import chart_folders

    estate = wiring.nearest_estate(estate_path)
    linter = wiring.open_linter(folder, estate=estate)
    sources = wiring.chart_sources(folder, estate=estate)
    found = [linter.lint(chart) for chart in chart_folders(charts, catalogue=sources)]
    view.show(found, output=output)
    return ExitCode.POLICY if any(one.verdict.violations for one in found) else ExitCode.DONE


@catalogue.command(epilog="Example: coopctl catalogue add payroll-1.0.0.tgz --catalogue charts")
@click.argument("path", type=click.Path(path_type=Path))
@options.catalogue
@options.estate
@options.output
def add(*, path: Path, folder: Path | None, estate_path: Path | None, output: str) -> ExitCode:
    """Take the chart at PATH (its folder, or an archive .tgz) into the catalogue, after it passed lint.

    That is the folder charts/ of the estate, if there is one; else that of a checkout of coopctl. Its review becomes
    `proposed`. Another version of the chart is replaced, the same one is refused. Links, paths that lead out of the
    archive, and more than 500 files or 10 MiB are refused. Exit code 5 if it breaks a rule.
    """
    from cli import wiring
    from cli.views import catalogue_changes, linted
    from provisioner.operations.adding import Added, add_chart, catalogue_to_change

    estate = wiring.nearest_estate(estate_path)
    home = catalogue_to_change(folder, estate=estate)
    linter = wiring.open_linter(folder, estate=estate)
    result = add_chart(path, catalogue=home, linter=linter)
    if isinstance(result, Added):
        catalogue_changes.show_added(result, output=output)
        return ExitCode.DONE
    linted.show([result], output=output)
    return ExitCode.POLICY


@catalogue.command(epilog="Example: coopctl catalogue verify --estate examples/pilot")
@options.catalogue
@options.events
@options.estate
@options.output
def verify(*, folder: Path | None, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Fetch each image of images.lock from the platform's registry and hash it; compare charts with charts.lock.

    Exit code 11 if an image is missing or damaged, or a chart is not what it was when it was taken in.
    """
    from cli import wiring
    from cli.views import catalogue_changes as view
    from cli.views.telling import teller
    from provisioner.catalogue import images_lock
    from provisioner.operations.verifying_catalogue import verify_catalogue

    estate = wiring.open_estate(estate_path)
    found = verify_catalogue(
        wiring.chart_sources(folder, estate=estate),
        lock=images_lock.read(estate.images_lock),
        registry=wiring.open_platform(estate).registry.address,
        report=teller(events=events),
    )
    view.show_check(found, output=output)
    return ExitCode.DONE if found.is_well else ExitCode.PROBLEMS


@catalogue.command(epilog="Example: coopctl catalogue mirror --to registry.example.kr/backup")
@click.argument("names", nargs=-1, shell_complete=completion.images)
@click.option("--from", "source", metavar="REGISTRY", help="Copy from there (default: the platform's registry).")
@click.option("--to", "target", metavar="REGISTRY", help="Copy to there (default: the platform's mirrors).")
@options.events
@options.estate
@options.output
def mirror(
    *,
    names: tuple[str, ...],
    source: str | None,
    target: str | None,
    events: bool,
    estate_path: Path | None,
    output: str,
) -> None:
    """Copy the images NAMES (without: all) of images.lock between registries, by their digests.

    They go from the platform's registry to each of spec.registry.mirrors of platform.yaml, unless --from or --to says
    otherwise. What is there already is not sent again; images.lock does not change.
    """
    from cli import wiring
    from cli.views import catalogue_changes as view
    from cli.views.telling import teller
    from provisioner.catalogue import images_lock
    from provisioner.catalogue.images.mirroring import mirror_images, routes

    estate = wiring.open_estate(estate_path)
    ways = routes(wiring.open_platform(estate).registry, source=source, target=target)
    lock = images_lock.read(estate.images_lock)
    view.show_mirrored(mirror_images(names, lock=lock, ways=ways, report=teller(events=events)), output=output)
