"""The Tryton server's image: nothing that the server loads was left out of it."""

import gzip
import re
from pathlib import Path

import pytest

from provisioner.catalogue import load_catalogue
from provisioner.catalogue.images.prepared import FOLDER
from provisioner.operations.preparing import TablePreparation
from tests.prepared import loader
from tests.tryton import TrytonFiles, shipped_image, unpacked_image
from tests.unit.plan.builders import CHARTS

pytestmark = pytest.mark.long(seconds=90)
MEBIBYTE = 1024 * 1024
# What the server does first: it imports each module that it finds, and fails if one of them lacks anything.
LOAD = """
import psycopg2
from trytond.modules import get_module_list
from trytond.pool import Pool
Pool.start()
print(*get_module_list())
"""
SOLUTIONS = {
    "ledger": {"account", "account_invoice", "company", "party", "product"},
    "trade": {"account_invoice_stock", "purchase", "sale", "stock"},
    "lot-tracing": {"production", "stock_lot", "stock_lot_sled"},
    "gas-delivery": {"sale_supply", "stock_lot", "stock_lot_unit"},
    "plating-orders": {"production_routing", "sale_supply_production"},
}


@pytest.fixture(scope="module")
def tryton(tmp_path_factory: pytest.TempPathFactory) -> TrytonFiles:
    """The image's files."""
    return unpacked_image(tmp_path_factory.mktemp("tryton"))


def test_every_module_of_every_solution_loads_from_the_image_alone(tryton: TrytonFiles) -> None:
    assert set().union(*SOLUTIONS.values()) <= set(tryton.program("-c", LOAD).split())


def test_the_web_client_is_there(tryton: TrytonFiles) -> None:
    assert "tryton-sao.min.js" in (tryton.web_client / "index.html").read_text()
    assert (tryton.web_client / "dist" / "tryton-sao.min.js").is_file()


def test_the_image_has_no_shell_and_no_perl_and_is_small(tryton: TrytonFiles) -> None:
    assert not [name for name in ("sh", "bash", "dash", "perl") if (tryton.root / "usr" / "bin" / name).exists()]
    assert tryton.packed_bytes < 60 * MEBIBYTE


@pytest.mark.servers
@pytest.mark.long(seconds=1800)
@pytest.mark.timeout(7200)
def test_the_same_packages_give_the_same_tables_and_the_same_digest_in_another_place(tmp_path: Path) -> None:
    shipped = shipped_image(tmp_path / "shipped")
    preparation = TablePreparation(catalogue=load_catalogue(CHARTS))
    again = unpacked_image(tmp_path / "again", preparing=preparation)
    sets, others = (loader().listed(one.root / FOLDER) for one in (shipped, again))
    assert [one.name for one in sets] == ["ledger", "trade", "gas-delivery", "lot-tracing", "plating-orders"]
    for one, other in zip(sets, others, strict=True):
        lines = [gzip.decompress(each.file.read_bytes()).splitlines() for each in (one, other)]
        assert [pair for pair in zip(*lines, strict=True) if pair[0] != pair[1]] == [], one.name
    assert again.digest == shipped.digest


@pytest.mark.servers
@pytest.mark.long(seconds=900)
@pytest.mark.timeout(7200)
def test_no_password_and_no_time_of_the_build_is_in_the_tables(tmp_path: Path) -> None:
    shipped = shipped_image(tmp_path)
    for one in loader().listed(shipped.root / FOLDER):
        script = gzip.decompress(one.file.read_bytes())
        assert b"$2b$" not in script
        assert b"lost again" not in script
        assert not re.search(rb"\t20[0-9]{2}-[01][0-9]-[0-3][0-9][ T]", script)
