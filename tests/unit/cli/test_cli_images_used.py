"""`coopctl images build --used` builds what the estate's cooperatives have chosen, and coopctl's own, and no more."""

from pathlib import Path

import pytest

from cli import main, wiring
from provisioner.errors import ExitCode
from provisioner.toolchain import Toolchain
from tests.portal_pilots import copy_portal_pilots


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """The pilot estate, its cooperatives with the portal alone."""
    return copy_portal_pilots(tmp_path / "협동조합 estate")


def used(folder: Path) -> tuple[str, ...]:
    """The names of the images that are built with `--used`."""
    estate = wiring.open_estate(folder)
    return wiring.used_images(estate, catalogue=wiring.open_catalogue(estate=estate))


def test_an_image_that_nobody_chose_is_left_out(estate: Path) -> None:
    assert used(estate) == ("portal", "probe")


def test_a_solution_that_one_cooperative_chose_brings_its_image(estate: Path) -> None:
    descriptor = estate / "cooperatives" / "plastics.yaml"
    chosen = descriptor.read_text().replace("- {name: portal}", "- {name: portal}\n    - {name: ledger}")
    descriptor.write_text(chosen)

    assert used(estate) == ("portal", "tryton", "probe")


def test_coopctl_itself_is_built_where_a_migration_may_run_in_the_platform(estate: Path) -> None:
    platform = estate / "platform.yaml"
    text = platform.read_text()
    assert list((estate / "migrations").glob("*.yaml"))
    platform.write_text(f'{text.rstrip()}\n  state: {{backend: "s3://team/one", credentials: {{file: key}}}}\n')

    assert used(estate) == ("portal", "probe", "coopctl")

    for migration in (estate / "migrations").glob("*.yaml"):
        migration.unlink()
    assert used(estate) == ("portal", "probe")


def test_names_beside_used_are_refused(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main.run(["images", "build", "portal", "--used", "--estate", str(estate)])

    assert code is ExitCode.USAGE
    assert "hint: leave out the names, or --used" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "apply", "status", "drift", "prove"])
def test_an_image_that_was_never_built_is_told_before_any_tool_is_made(
    estate: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(*_: object, **__: object) -> None:
        raise AssertionError("a tool was asked for")

    monkeypatch.setattr(Toolchain, "ensure", make)
    assert not (estate / "images.lock").exists()
    assert main.run([command, "plastics", "--estate", str(estate)]) is ExitCode.NOT_FOUND
    assert "hint: run `make images`, or `coopctl images build`" in capsys.readouterr().err
