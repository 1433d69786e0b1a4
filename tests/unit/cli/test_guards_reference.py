"""The page of guards holds every kind of guard that a plan has, once."""

from cli import guards_reference
from tests.proof_mutations import platform_guards, store_parts, tenant_guards


def test_every_kind_of_guard_has_a_row_and_no_other_has() -> None:
    objects = {kind for kind, _, _ in (*tenant_guards(), *platform_guards())}
    parts = {type(part).__name__ for part in store_parts().values()}
    listed = [guard.kind for guard in guards_reference.GUARDS]
    assert len(listed) == len(set(listed))
    assert set(listed) == objects | parts


def test_every_row_says_what_it_is_in_its_builder_s_words_and_where_it_comes_from() -> None:
    rows = [line for line in guards_reference.text().splitlines() if line.startswith("| `")]
    assert len(rows) == len(guards_reference.GUARDS)
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4
        assert all(cells)
