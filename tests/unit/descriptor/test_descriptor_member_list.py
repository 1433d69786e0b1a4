"""Editing member lists: what was meant is done, every other character stays, and nothing is lost."""

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.descriptor import member_list
from provisioner.descriptor.cooperative import Member
from provisioner.descriptor.member_list import add_members, member_of_words, read_member_list, remove_member
from provisioner.descriptor.members import read_csv
from provisioner.descriptor.members_in_csv import added_to_csv, taken_from_csv
from provisioner.errors import CoopctlError, InvalidDescriptor, NotFound, UsageError
from tests.unit.descriptor.worlds import World, changed, world

INLINE = "members: [{id: m-1, name: 회원사 001, employees: 8}]"
WITH_COMMENTS = """members:  # ours
    # the first 🍚
    - id: m-1
      name: a  # a's
      employees: 8
"""
FILE = "members: {file: ../members/rice.csv}"
NEW = Member(id="m-9", name='쌀, "떡"과 {{ 술 }}', employees=9, registration_number="0000000015")
CSV = "id,name,employees\nm-1,회원사 001,8\nm-2,회원사 002,9\n"


def with_list(folder: Path, text: str) -> World:
    """An estate whose cooperative has its members in its document."""
    return world(folder, {"rice": changed(INLINE, text)})


def with_file(folder: Path, content: str | bytes = CSV) -> World:
    """An estate whose cooperative has its members in a file."""
    made = world(folder, {"rice": changed(INLINE, FILE)})
    made.write("members/rice.csv", content)
    return made


def ids(made: World) -> list[str]:
    return [member.id for member in read_member_list(made.estate, "rice").members]


def document(made: World) -> str:
    return (made.estate.cooperatives / "rice.yaml").read_text(encoding="utf-8")


def test_a_member_is_added_at_the_end_of_a_file(tmp_path: Path) -> None:
    made = with_file(tmp_path)
    add_members(made.estate, "rice", [Member(id="m-9", name="쌀, 떡", employees=9)])
    assert (tmp_path / "members/rice.csv").read_text() == f'{CSV}m-9,"쌀, 떡",9\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"id,name,employees\r\nm-1,a,8\r\n", b"id,name,employees\r\nm-1,a,8\r\nm-9,b,9\r\n"),
        (b"id,name,employees\nm-1,a,8", b"id,name,employees\nm-1,a,8\nm-9,b,9\n"),
        (b"\xef\xbb\xbfid,name,employees\n", b"\xef\xbb\xbfid,name,employees\nm-9,b,9\n"),
        (b'name, employees ,id\n"a",8,m-1\n\n', b'name, employees ,id\n"a",8,m-1\n\nb,9,m-9\n'),
        (
            b"id,name,employees,registration_number\nm-1,a,8,\n",
            b"id,name,employees,registration_number\nm-1,a,8,\nm-9,b,9,\n",
        ),
    ],
    ids=["windows", "no last line's end", "byte order mark", "other columns", "with numbers"],
)
def test_a_file_keeps_its_own_way_of_writing(tmp_path: Path, before: bytes, after: bytes) -> None:
    made = with_file(tmp_path, before)
    add_members(made.estate, "rice", [Member(id="m-9", name="b", employees=9)])
    assert (tmp_path / "members/rice.csv").read_bytes() == after
    remove_member(made.estate, "rice", "m-9")
    kept = before if before.endswith(b"\n") else before + b"\n"
    assert (tmp_path / "members/rice.csv").read_bytes() == kept


def test_a_first_registration_number_brings_its_column(tmp_path: Path) -> None:
    made = with_file(tmp_path)
    add_members(made.estate, "rice", [NEW])
    lines = (tmp_path / "members/rice.csv").read_text().splitlines()
    assert lines[:2] == ["id,name,employees,registration_number", "m-1,회원사 001,8,"]
    assert read_member_list(made.estate, "rice").members[-1] == NEW


def test_a_link_and_a_mode_survive_an_edit(tmp_path: Path) -> None:
    made = with_file(tmp_path)
    real = tmp_path / "members/rice.csv"
    real.rename(tmp_path / "real.csv")
    real.symlink_to("../real.csv")
    (tmp_path / "real.csv").chmod(0o640)
    remove_member(made.estate, "rice", "m-1")
    assert real.is_symlink()
    assert stat.S_IMODE((tmp_path / "real.csv").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.glob(".*")] == [], "nothing half-written is left"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INLINE, 'members: [{id: m-1, name: 회원사 001, employees: 8}, {id: "m-9", name: b, employees: 9}]'),
        ("members: []", 'members: [{id: "m-9", name: b, employees: 9}]'),
        (f"{WITH_COMMENTS}    # the end", f'{WITH_COMMENTS}    - {{id: "m-9", name: b, employees: 9}}\n    # the end'),
        (
            "members:\n  - {id: m-1, name: a, employees: 8}",
            'members:\n  - {id: m-1, name: a, employees: 8}\n  - {id: "m-9", name: b, employees: 9}',
        ),
        (
            "members: [\n      {id: m-1, name: a, employees: 8},  # a's\n    ]",
            'members: [\n      {id: m-1, name: a, employees: 8}, {id: "m-9", name: b, employees: 9},  # a\'s\n    ]',
        ),
    ],
    ids=["in brackets", "none yet", "with dashes", "not indented", "over lines"],
)
def test_a_list_in_a_document_keeps_its_way_of_writing(tmp_path: Path, before: str, after: str) -> None:
    made = with_list(tmp_path, before)
    add_members(made.estate, "rice", [Member(id="m-9", name="b", employees=9)])
    assert document(made) == changed(INLINE, after)
    remove_member(made.estate, "rice", "m-9")
    assert document(made) == changed(INLINE, before)


THREE = ["{id: m-1, name: a, employees: 1}", "{id: m-2, name: b, employees: 2}", "{id: m-3, name: c, employees: 3}"]
DASHES = "members:\n    # first\n" + "".join(f"    - {one}  # a note\n" for one in THREE)


@pytest.mark.parametrize("form", [f"members: [{', '.join(THREE)}]", DASHES.rstrip("\n")], ids=["brackets", "dashes"])
def test_members_are_removed_one_by_one_until_none_is_left(tmp_path: Path, form: str) -> None:
    made = with_list(tmp_path, form)
    remove_member(made.estate, "rice", "m-2")
    assert ids(made) == ["m-1", "m-3"]
    remove_member(made.estate, "rice", "m-3")
    assert "m-1, name: a, employees: 1}" in document(made)
    remove_member(made.estate, "rice", "m-1")
    assert ids(made) == []
    add_members(made.estate, "rice", [NEW])
    assert read_member_list(made.estate, "rice").members == (NEW,)


def test_values_with_anchors_stay(tmp_path: Path) -> None:
    listed = "members: [{id: m-1, name: *who, employees: 8}, &x {id: m-2, name: b, employees: 8}]"
    made = with_list(tmp_path, f"contact: {{name: &who 누구}}\n  {listed}")
    add_members(made.estate, "rice", [NEW])
    remove_member(made.estate, "rice", "m-1")
    assert ids(made) == ["m-2", "m-9"]


def test_what_cannot_be_edited_without_changing_more_is_left_alone(tmp_path: Path) -> None:
    made = with_list(tmp_path, "members: [{id: m-1, name: a, employees: 8},]")
    before = document(made)
    with pytest.raises(CoopctlError, match="cannot be edited here") as caught:
        remove_member(made.estate, "rice", "m-1")
    assert "by hand" in str(caught.value.hint)
    assert document(made) == before


def test_a_member_that_is_there_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    made = with_file(tmp_path)
    again = [Member(id=f"m-{number}", name="b", employees=9) for number in (1, 2, 9)]
    with pytest.raises(UsageError, match="rice has these members already: m-1, m-2"):
        add_members(made.estate, "rice", again)
    assert (tmp_path / "members/rice.csv").read_text() == CSV


def test_a_list_with_problems_is_not_touched(tmp_path: Path) -> None:
    broken = f"{CSV}m-1,again,8\n"
    made = with_file(tmp_path, broken)
    with pytest.raises(InvalidDescriptor):
        add_members(made.estate, "rice", [NEW])
    assert (tmp_path / "members/rice.csv").read_text() == broken


def test_a_file_that_somebody_else_changes_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_file(tmp_path)
    file = tmp_path / "members/rice.csv"

    def change_both(text: str, members: list[Member]) -> str:
        file.write_text(f"{CSV}m-3,their own,1\n")
        return added_to_csv(text, members)

    monkeypatch.setattr(member_list, "added_to_csv", change_both)
    with pytest.raises(CoopctlError, match="was changed meanwhile"):
        add_members(made.estate, "rice", [NEW])
    assert file.read_text() == f"{CSV}m-3,their own,1\n"


def test_an_unknown_member_or_cooperative_is_named_with_the_nearest(tmp_path: Path) -> None:
    made = with_file(tmp_path)
    with pytest.raises(NotFound, match="rice has no member 'm-11'"):
        remove_member(made.estate, "rice", "m-11")
    with pytest.raises(NotFound) as caught:
        add_members(made.estate, "rise", [NEW])
    assert caught.value.hint == "did you mean 'rice'?"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"member": "M 1"}, "--id: 'M 1' must be"),
        ({"name": "a\u202eb"}, "--name: contains the character U+202E"),
        ({"name": "a\nb"}, "--name: contains the character U+000A"),
        ({"name": "x" * 1_000_000}, "--name: is 1000000 characters long"),
        ({"employees": 0}, "--employees: is 0"),
        ({"number": "000-00-00016"}, "--registration-number: '000-00-00016' is not a business registration number"),
    ],
)
def test_a_value_that_cannot_be_names_its_option(change: dict[str, str | int], said: str) -> None:
    given = {"member": "m-1", "name": "a", "employees": 8, "number": None, **change}
    with pytest.raises(UsageError, match=said.replace("+", r"\+")):
        member_of_words(**given)  # type: ignore[arg-type]  # each test names real arguments


_names = st.text(alphabet="가나 ,\"'\t{}%=@\u00e9x", min_size=1, max_size=6).filter(
    lambda name: name.strip() != "" and "\t" not in name
)
_members = st.builds(
    Member,
    id=st.from_regex(r"[a-z0-9]{1,4}", fullmatch=True),
    name=_names.map(str.strip),
    employees=st.integers(1, 60),
    registration_number=st.sampled_from(["", "0000000015", "0000000000"]),
)
_lists = st.lists(_members, max_size=6, unique_by=lambda member: member.id)


@settings(max_examples=200, deadline=None)
@given(before=_lists, added=_lists, end=st.sampled_from(["\n", "\r\n"]))
def test_a_file_reads_back_as_it_was_meant_after_adding_and_removing(
    before: list[Member], added: list[Member], end: str
) -> None:
    text = added_to_csv(f"id,name,employees{end}", before)
    assert read_csv(text, file=Path("x")).members == tuple(before)
    new = [one for one in added if one.id not in {member.id for member in before}]
    more = added_to_csv(text, new)
    assert read_csv(more, file=Path("x")).members == (*before, *new)
    fewer = taken_from_csv(more, {member.id for member in before})
    assert read_csv(fewer, file=Path("x")).members == tuple(new)


@settings(max_examples=60, deadline=None)
@given(before=_lists, added=_members, dashes=st.booleans(), places=st.sets(st.integers(0, 5)))
def test_a_document_reads_back_as_it_was_meant(
    tmp_path_factory: pytest.TempPathFactory, before: list[Member], added: Member, dashes: bool, places: set[int]
) -> None:
    made = with_list(tmp_path_factory.mktemp("estate"), "members: []")
    add_members(made.estate, "rice", before)
    if dashes and before:
        text = document(made)
        start, end = text.index("members: [") + len("members: "), text.index("]\n")
        entries = text[start + 1 : end].split(", {id")
        listed = "".join(f"\n    - {one if one.startswith('{') else '{id' + one}" for one in entries)
        made.write("cooperatives/rice.yaml", text[:start] + listed + text[end + 1 :])
    leaving = [member.id for place, member in enumerate(before) if place in places]
    for member in leaving:
        remove_member(made.estate, "rice", member)
    kept = [member for member in before if member.id not in leaving]
    assert read_member_list(made.estate, "rice").members == tuple(kept)
    if added.id not in {member.id for member in kept}:
        add_members(made.estate, "rice", [added])
        assert read_member_list(made.estate, "rice").members == (*kept, added)
