"""Which sets of modules have their tables made when an image is built: those that the charts choose together."""

from pathlib import Path

from provisioner.catalogue import load_catalogue
from provisioner.catalogue.images.table_sets import ModuleFolder, TableSet, grown_from, table_sets
from tests.unit.catalogue.test_catalogue_loading import chart
from tests.unit.plan.builders import CHARTS

LEDGER = {"account", "account_invoice", "party", "product"}
TRADE = LEDGER | {"account_invoice_stock", "purchase", "sale", "stock"}


def sets(folder: Path) -> list[TableSet]:
    """The sets of the image ``server`` in the catalogue ``folder``."""
    return list(table_sets("server", catalogue=load_catalogue(folder)))


def server(folder: Path) -> None:
    """A solution with a server, which others extend."""
    chart(folder, name="books", images="server", modules="account")


def test_the_shipped_solutions_give_one_set_each_with_all_that_they_integrate_with() -> None:
    found = table_sets("tryton", catalogue=load_catalogue(CHARTS))
    sets = {one.name: set(one.modules) for one in found}
    assert list(sets) == ["ledger", "trade", "gas-delivery", "lot-tracing", "plating-orders"]
    assert (sets["ledger"], sets["trade"]) == (LEDGER, TRADE)
    assert sets["gas-delivery"] == TRADE | {"coop_gas_delivery", "sale_supply", "stock_lot", "stock_lot_unit"}
    assert sets["lot-tracing"] == TRADE | {"coop_lot_tracing", "production", "stock_lot", "stock_lot_sled"}
    plating = {"coop_plating_orders", "production", "production_routing", "sale_supply_production"}
    assert sets["plating-orders"] == TRADE | plating
    assert all(list(one.modules) == sorted(one.modules) for one in found)


def test_a_module_of_a_chart_s_own_is_in_the_sets_of_its_solution_alone() -> None:
    catalogue = load_catalogue(CHARTS)
    ledger, trade, *specialised = table_sets("tryton", catalogue=catalogue)
    assert (ledger.own, trade.own) == ((), ())
    assert len(specialised) == 3
    for one in specialised:
        (module,) = one.own
        own = catalogue.solution(one.name).own_module
        assert own is not None
        assert (module.name, module.digest) == (own.name, own.digest)
        assert (module.folder / own.files[0]).is_file()


def test_an_image_that_no_server_runs_has_no_sets() -> None:
    assert table_sets("portal", catalogue=load_catalogue(CHARTS)) == ()
    assert table_sets("unknown", catalogue=load_catalogue(CHARTS)) == ()


def test_solutions_that_need_nothing_of_each_other_are_not_put_together(tmp_path: Path) -> None:
    server(tmp_path)
    chart(tmp_path, name="lots", extends="books", modules="lot")
    chart(tmp_path, name="sales", extends="books", modules="sale")
    assert [one.modules for one in sets(tmp_path)] == [("account",), ("account", "lot"), ("account", "sale")]


def test_what_a_solution_reaches_through_another_is_in_its_set(tmp_path: Path) -> None:
    server(tmp_path)
    chart(tmp_path, name="sales", extends="books", modules="sale")
    chart(tmp_path, name="stock", extends="books", integrates="sales", modules="stock")
    chart(tmp_path, name="lots", extends="books", integrates="stock", modules="lot")
    assert sets(tmp_path)[-1] == TableSet(name="lots", modules=("account", "lot", "sale", "stock"))


def test_two_solutions_with_the_same_modules_share_a_set(tmp_path: Path) -> None:
    server(tmp_path)
    chart(tmp_path, name="more", extends="books", modules="account")
    assert [one.name for one in sets(tmp_path)] == ["books"]


def test_each_shipped_set_grows_from_the_largest_that_it_holds() -> None:
    found = table_sets("tryton", catalogue=load_catalogue(CHARTS))
    bases = {one.name: grown_from(one, found) for one in found}
    assert {name: base.name if base else None for name, base in bases.items()} == {
        "ledger": None,
        "trade": "ledger",
        "gas-delivery": "trade",
        "lot-tracing": "trade",
        "plating-orders": "trade",
    }


def test_no_set_grows_from_one_with_another_module_of_a_chart_s_own() -> None:
    own = ModuleFolder(name="lot", folder=Path("lots"), digest="a")
    small = TableSet(name="lots", modules=("account", "lot"), own=(own,))
    large = TableSet(
        name="sales", modules=("account", "lot", "sale"), own=(ModuleFolder(**{**vars(own), "digest": "b"}),)
    )
    assert grown_from(large, [small]) is None
    assert grown_from(TableSet(name="sales", modules=large.modules, own=(own,)), [small]) == small
    assert grown_from(small, [small]) is None
