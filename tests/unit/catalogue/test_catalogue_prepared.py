"""Prepared tables in an image: what the builder writes, the migration's program reads, and chooses from."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.images.image_root import unpack
from provisioner.catalogue.images.prepared import FOLDER, PreparedTables, prepared_layer
from provisioner.catalogue.images.table_sets import ModuleFolder, TableSet
from tests.prepared import loader

LEDGER = TableSet(name="ledger", modules=("account", "party"))
TRADE = TableSet(name="trade", modules=("account", "party", "sale"))
LOTS = TableSet(
    name="lots",
    modules=("account", "lot", "party", "sale"),
    own=(ModuleFolder(name="lot", folder=Path("lot"), digest="abc"),),
)
SCRIPT = b'CREATE TABLE a (x text);\nCOPY a ("x") FROM stdin;\n1\n\\\\.\n\\.\nCREATE INDEX i ON a (x);\n'


def layer(*sets: TableSet) -> bytes:
    """The layer that holds a script for each of ``sets``."""
    stream = io.BytesIO()
    made = [PreparedTables(tables=one, script=SCRIPT) for one in sets]
    prepared_layer(made, versions={"tryton-server": "6.0.29", "a": "1"}).write(stream)
    return stream.getvalue()


def listed(folder: Path, *sets: TableSet) -> Sequence[Any]:
    """What the migration's program finds in an image with ``sets``."""
    file = folder / "layer.tar"
    file.write_bytes(layer(*sets))
    unpack(file, into=folder)
    found: Sequence[Any] = loader().listed(folder / FOLDER)
    return found


def chosen(found: Sequence[Any], *modules: str, **own: str) -> str | None:
    """The name of the set that the migration would load."""
    one = loader().largest(found, modules=modules, own=own)
    return str(one.name) if one else None


def test_the_same_tables_are_the_same_layer() -> None:
    assert layer(LEDGER, LOTS) == layer(LEDGER, LOTS)
    assert layer(LEDGER) != layer(LEDGER, LOTS)


def test_the_migration_reads_what_the_builder_writes(tmp_path: Path) -> None:
    ledger, lots = listed(tmp_path, LEDGER, LOTS)
    assert (ledger.name, ledger.modules, ledger.own) == ("ledger", {"account", "party"}, {})
    assert lots.own == {"lot": "abc"}
    assert gzip.decompress(lots.file.read_bytes()) == SCRIPT


def test_an_image_without_tables_and_one_with_a_newer_list_have_none(tmp_path: Path) -> None:
    assert loader().listed(tmp_path) == []
    (tmp_path / "tables.json").write_text('{"format": 2, "sets": [{"new": "form"}]}')
    assert loader().listed(tmp_path) == []


def test_the_largest_set_within_the_wanted_modules_is_chosen(tmp_path: Path) -> None:
    found = listed(tmp_path, LEDGER, TRADE)
    assert chosen(found, "account", "party") == "ledger"
    assert chosen(found, "account", "party", "sale") == "trade"
    assert chosen(found, "account", "party", "sale", "stock") == "trade"
    assert chosen(found, "account", "party", "stock") == "ledger"
    assert chosen(found, "account") is None


def test_a_set_whose_own_modules_are_not_those_that_are_mounted_is_not_chosen(tmp_path: Path) -> None:
    found = listed(tmp_path, TRADE, LOTS)
    wanted = ("account", "lot", "party", "sale")
    assert chosen(found, *wanted, lot="abc") == "lots"
    assert chosen(found, *wanted, lot="changed") == "trade"
    assert chosen(found, *wanted) == "trade"


def test_a_script_is_read_as_statements_and_rows_in_their_order() -> None:
    assert list(loader().parts(SCRIPT.splitlines(keepends=True))) == [
        (b"CREATE TABLE a (x text);\n", None),
        (b'COPY a ("x") FROM stdin;\n', b"1\n\\\\.\n"),
        (b"CREATE INDEX i ON a (x);\n", None),
    ]


def test_a_script_that_ends_within_rows_is_not_taken_for_whole() -> None:
    with pytest.raises(ValueError, match="ends within rows"):
        list(loader().parts(SCRIPT.splitlines(keepends=True)[:3]))
