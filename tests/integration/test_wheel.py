"""coopctl as a wheel: what it ships is complete, wherever it is installed and whatever folder it is called from."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from provisioner.catalogue import images_lock
from provisioner.toolchain import Toolchain
from tests.conftest import open_temporary_folder
from tests.unit.plan import builders

pytestmark = pytest.mark.long(seconds=60)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A virtual environment with coopctl from its wheel, and a folder far from the checkout to call it from."""

    environment: Path
    elsewhere: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; nothing of the checkout is on its paths."""
        program, *arguments = command
        return subprocess.run(
            [self.environment / "bin" / program, *arguments],
            cwd=self.elsewhere,
            env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )

    def coopctl(self, *arguments: str | Path) -> str:
        """Run coopctl, which must succeed, and give what it answers."""
        done = self.run("coopctl", *arguments)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """Build the wheel and install it, all without a network."""
    with open_temporary_folder() as folder:
        wheel = build_wheel(folder / "dist")
        environment, elsewhere = folder / "environment", folder / "다른 곳"
        elsewhere.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        made = Installed(environment=environment, elsewhere=elsewhere)
        lend_libraries(made)
        options = ("--no-index", "--no-deps", "--quiet", "--disable-pip-version-check")
        pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", *options]
        subprocess.run([*pip, str(wheel)], check=True)
        yield made


def build_wheel(target: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = target.glob("coopctl-*.whl")
    return wheel


def lend_libraries(made: Installed) -> None:
    """Let the environment use this one's libraries, as a path without more: editable installations are not followed."""
    asked = made.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    Path(asked.stdout.strip(), "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def estate(installed: Installed) -> Path:
    """An estate that the installed coopctl made, with a cooperative of bakers."""
    root = installed.elsewhere / "estate"
    installed.coopctl("init", root)
    new = ("--template", "manufacturing", "--display-name", "한국제과협동조합", "--domain", "bakers.example.kr")
    installed.coopctl("new", "bakers", *new, "--estate", root)
    images_lock.write(replace(builders.fake_lock(), source=root / "images.lock"))
    return root


def test_nothing_of_the_checkout_is_used(installed: Installed) -> None:
    for package in ("cli", "provisioner", "stacks", "policies"):
        found = installed.run("python", "-c", f"import {package}; print({package}.__file__)").stdout.strip()
        assert Path(found).is_relative_to(installed.environment), package


def test_the_help_and_the_schema_are_there(installed: Installed) -> None:
    assert "Usage: coopctl" in installed.coopctl("--help")
    schema = json.loads(installed.coopctl("schema"))
    assert "Cooperative" in json.dumps(schema)


def test_an_estate_is_made_validated_and_explained(installed: Installed, estate: Path) -> None:
    """Templates and their sizes are shipped."""
    installed.coopctl("validate", "--estate", estate)
    assert "한국제과협동조합" in installed.coopctl("explain", "bakers", "--estate", estate)


def test_a_cooperative_is_rendered_with_its_solution(installed: Installed, estate: Path) -> None:
    """Charts are shipped, and the tools' sources too: the renderer is found in the cache under the same key."""
    Toolchain().ensure(["helm-render"], report=print)

    documents = list(yaml.safe_load_all(installed.coopctl("render", "bakers", "--estate", estate)))

    assert {"Namespace", "NetworkPolicy", "Deployment", "PostgresDatabase"} <= {item["kind"] for item in documents}
    assert "한국제과협동조합" in json.dumps(documents, ensure_ascii=False)


def test_every_tool_has_the_key_that_it_has_in_the_checkout(installed: Installed) -> None:
    """So that an update from a checkout to a wheel builds nothing anew."""
    listed = json.loads(installed.coopctl("toolchain", "list", "--output", "json"))["tools"]
    ours = Toolchain(environment={"PATH": "/usr/bin:/bin", "HOME": str(Path.home())}).all()

    assert {tool["name"]: tool["path"] for tool in listed} == {tool.name: _text(tool.path) for tool in ours}


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
