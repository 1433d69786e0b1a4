"""Tables for an image, made by a small program in the place of a server's, with the real scratch PostgreSQL."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from provisioner.catalogue import load_catalogue
from provisioner.catalogue.images.definition import ImageDefinition, TableProgram, read_definition
from provisioner.catalogue.images.image_root import ImageRoot
from provisioner.errors import CoopctlError
from provisioner.operations.preparing import KEPT, RECORD, TablePreparation
from tests.unit.catalogue.test_catalogue_loading import chart
from tests.unit.plan.builders import CHARTS

pytestmark = pytest.mark.servers
# A table for each module that it is told to add, with a row; a module that comes with a chart must lie where the
# server looks for it. A second table of one name would fail.
PROGRAM = """
import os, pathlib, sys
import psycopg
own = pathlib.Path(os.environ["ROOT"]) / "modules"
with psycopg.connect("") as connection:
    for module in sys.argv[1:]:
        connection.execute(f'CREATE TABLE "{module}" (id serial PRIMARY KEY, said varchar)')
        connection.execute(f'INSERT INTO "{module}" (said) VALUES (%s)', ["first of " + module])
    for folder in own.iterdir():
        connection.execute(f'CREATE TABLE "seen_{folder.name}" (id serial PRIMARY KEY)')
"""


class ThisPython(ImageRoot):
    """Runs an image's programs with the interpreter of the tests."""

    def python(self, *arguments: str | Path) -> list[str]:
        """The command line."""
        return [sys.executable, *map(str, arguments)]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """The environment, in which the program finds its root."""
        return {**more, "ROOT": str(self.root)}


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """A catalogue with a server and what extends it, and an image for it, in a folder."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def definition(self) -> ImageDefinition:
        """The image, whose program is PROGRAM."""
        shipped = read_definition(CHARTS / "ledger" / "image.yaml")
        program = TableProgram(source=self.folder / "tables.py", modules="modules")
        return replace(shipped, name="server", tables=program)

    @property
    def preparation(self) -> TablePreparation:
        """Whoever makes the tables, for the catalogue as it is now."""
        return TablePreparation(catalogue=load_catalogue(self.folder / "charts"))

    def prepare(self, *, packages: str = "some") -> dict[str, str]:
        """The scripts, by the name of their set."""
        made = self.preparation.prepare(
            self.definition,
            root=ThisPython(root=self.folder / "root"),
            packages=packages,
            cache=self.folder / "cache",
            report=self.said.append,
        )
        return {one.tables.name: one.script.decode() for one in made}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A server, and a solution that brings a module of its own."""
    chart(tmp_path / "charts", name="books", images="server", modules="account")
    lots = chart(tmp_path / "charts", name="lots", extends="books", modules="account, lot")
    (lots / "module" / "lot").mkdir(parents=True)
    (lots / "module" / "lot" / "lot.py").write_text("first")
    (tmp_path / "root" / "modules").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "tables.py").write_text(PROGRAM)
    return Workshop(folder=tmp_path)


def test_each_set_has_its_tables_and_sees_its_own_modules_alone(workshop: Workshop) -> None:
    scripts = workshop.prepare()
    assert list(scripts) == ["books", "lots"]
    tables = {
        name: [line for line in script.splitlines() if "CREATE TABLE" in line] for name, script in scripts.items()
    }
    assert tables == {
        "books": ["CREATE TABLE public.account ("],
        "lots": [f"CREATE TABLE public.{name} (" for name in ("account", "lot", "seen_lot")],
    }
    assert list((workshop.folder / "root" / "modules").iterdir()) == []
    assert not (workshop.folder / "cache" / RECORD).exists()


def test_what_did_not_change_is_not_made_again(workshop: Workshop) -> None:
    first, fingerprint = workshop.prepare(), workshop.preparation.fingerprint(workshop.definition)
    workshop.said.clear()
    assert workshop.prepare() == first
    assert workshop.said == []
    (workshop.folder / "charts" / "lots" / "module" / "lot" / "lot.py").write_text("second")
    assert workshop.preparation.fingerprint(workshop.definition) != fingerprint
    assert workshop.prepare() == first
    assert [line.split()[4] for line in workshop.said] == ["lots,"]


def test_a_set_that_holds_another_begins_with_its_tables_and_rows(workshop: Workshop) -> None:
    (workshop.folder / "tables.py").write_text(
        f"{PROGRAM}\n    connection.execute('CREATE TABLE t' + sys.argv[-1] + ' (id serial PRIMARY KEY)')"
    )
    lots = workshop.prepare()["lots"]
    assert "1\tfirst of account\n" in lots
    assert "1\tfirst of lot\n" in lots
    # One run of the program for the server's modules, one for those that are added.
    assert "CREATE TABLE public.taccount (" in lots
    assert "CREATE TABLE public.tlot (" in lots


@pytest.mark.long(seconds=6)
def test_a_set_is_the_same_whether_what_it_grows_from_was_made_just_now_or_is_kept(workshop: Workshop) -> None:
    first = workshop.prepare()
    kept = {file.name: file for file in (workshop.folder / "cache" / KEPT).iterdir()}
    grown = next(file for file in kept.values() if file.read_text() == first["lots"])
    grown.unlink()
    workshop.said.clear()
    assert workshop.prepare() == first
    assert [line.split()[4] for line in workshop.said] == ["lots,"]
    assert {file.name for file in (workshop.folder / "cache" / KEPT).iterdir()} == set(kept)


@pytest.mark.long(seconds=6)
def test_what_a_set_grows_from_decides_which_it_is(workshop: Workshop) -> None:
    workshop.prepare()
    about = workshop.folder / "charts" / "books" / "Chart.yaml"
    about.write_text(about.read_text().replace("modules: account", "modules: account, bank"))
    workshop.said.clear()
    scripts = workshop.prepare()
    assert [line.split()[4] for line in workshop.said] == ["books,", "lots,"]
    assert "first of bank" in scripts["lots"]


def test_where_the_first_set_fails_what_grows_from_it_is_not_begun(workshop: Workshop) -> None:
    (workshop.folder / "tables.py").write_text(f"{PROGRAM}\n    if 'account' in sys.argv: sys.exit('no books today')\n")
    with pytest.raises(CoopctlError) as refused:
        workshop.prepare()
    assert "the tables of books cannot be made" in refused.value.message
    assert list((workshop.folder / "cache" / KEPT).iterdir()) == []


def test_a_program_that_fails_is_told_with_its_words_and_what_was_made_is_kept(workshop: Workshop) -> None:
    (workshop.folder / "tables.py").write_text(f"{PROGRAM}\nif 'lot' in sys.argv: sys.exit('no lots today')\n")
    with pytest.raises(CoopctlError) as refused:
        workshop.prepare()
    assert "the tables of lots cannot be made" in refused.value.message
    assert refused.value.why == "no lots today"
    assert len(list((workshop.folder / "cache" / KEPT).iterdir())) == 1
    assert list((workshop.folder / "root" / "modules").iterdir()) == []
    assert not (workshop.folder / "cache" / RECORD).exists()
