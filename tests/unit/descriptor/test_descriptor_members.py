"""Members from CSV and inline: every problem with its line, and two ways of reading that agree."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.descriptor.members import read_csv, read_csv_by_row
from provisioner.descriptor.registration_number import check_digit
from provisioner.errors import Severity
from tests.unit.descriptor.worlds import changed, world

FILE = Path("rice.csv")
HEADER = "id,name,employees\n"
INLINE = "members: [{id: m-1, name: 회원사 001, employees: 8}]"


def _said(text: str) -> list[str]:
    return [f"{problem}" for problem in read_csv(text, file=FILE).problems]


def test_members_are_read_in_order() -> None:
    members = read_csv(f"{HEADER}m-2,회원사 002,9\nm-1,회원사 001,8\n", file=FILE).members
    assert [(member.id, member.name, member.employees) for member in members] == [
        ("m-2", "회원사 002", 9),
        ("m-1", "회원사 001", 8),
    ]


def test_every_problem_has_its_line_and_column() -> None:
    text = f"{HEADER}m-1,회원사 001,8\nM 2,나,8\nm-3,다\nm-4,라,0\nm-1,마,8\nm-6,바\u200b사,8\n"
    assert _said(text) == [
        "rice.csv:3:1: spec.members.id: 'M 2' must be lower-case letters, digits and hyphens, at most 40",
        "rice.csv:4:1: spec.members: has 2 columns instead of 3",
        "rice.csv:5:7: spec.members.employees: is 0; it must be between 1 and 1000000",
        "rice.csv:6:1: spec.members.id: repeats the id 'm-1' of line 2",
        "rice.csv:7:5: spec.members.name: contains the character U+200B, which a name must not hold",
    ]


def test_a_wrong_header_names_the_nearest_column() -> None:
    problem = read_csv("id,nmae,employees\n", file=FILE).problems[0]
    assert problem.hint == "did you mean 'name'?"
    assert read_csv("", file=FILE).problems[0].hint == "its first line is: id,name,employees"


def test_columns_may_stand_in_any_order_and_be_quoted() -> None:
    members = read_csv('employees,id,name\n8,m-1,"쌀, 떡"\n', file=FILE).members
    assert [(member.id, member.name, member.employees) for member in members] == [("m-1", "쌀, 떡", 8)]


def test_firms_that_are_not_small_are_a_warning() -> None:
    read = read_csv(f"{HEADER}m-1,가,8\nm-2,나,50\n", file=FILE)
    assert [problem.severity for problem in read.problems] == [Severity.WARNING]
    assert "1 of 2 members have 50 employees or more (the first is m-2)" in read.problems[0].message
    assert read.problems[0].location.line == 3


def test_a_file_full_of_problems_is_given_up() -> None:
    assert len(_said(HEADER + "x\n" * 5000)) == 101


def test_a_file_outside_the_estate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret\n")
    made = world(tmp_path / "estate", {"rice": changed(INLINE, "members: {file: ../../secret.csv}")})
    (problem,) = made.problems()
    assert problem.startswith("cooperatives/rice.yaml:9:19: spec.members.file: lies outside the estate")
    assert "secret\n" not in problem


def test_a_link_out_of_the_estate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret\n")
    made = world(tmp_path / "estate", {"rice": changed(INLINE, "members: {file: ../link.csv}")})
    (made.estate.root / "link.csv").symlink_to(tmp_path / "secret.csv")
    assert "lies outside the estate" in made.problems()[0]


def test_a_missing_file_is_told_at_the_place_that_names_it(tmp_path: Path) -> None:
    made = world(tmp_path, {"rice": changed(INLINE, "members: {file: ../members/rice.csv}")})
    (problem,) = made.problems()
    assert problem.startswith(
        "cooperatives/rice.yaml:9:19: spec.members.file: '../members/rice.csv' does not exist (the path is relative"
    )


def test_inline_members_repeat_no_id(tmp_path: Path) -> None:
    twice = "members: [{id: m-1, name: 가, employees: 8}, {id: m-1, name: 나, employees: 9}]"
    assert world(tmp_path, {"rice": changed(INLINE, twice)}).problems() == [
        "cooperatives/rice.yaml:9:47: spec.members.id: repeats the id 'm-1' of line 9"
    ]


def test_a_registration_number_is_read_with_and_without_hyphens() -> None:
    text = "id,name,employees,registration_number\nm-1,가,8,000-00-00015\nm-2,나,8,0000000000\nm-3,다,8,\n"
    read = read_csv(text, file=FILE)
    assert [member.registration_number for member in read.members] == ["0000000015", "0000000000", ""]
    assert read.problems == ()


@pytest.mark.parametrize(
    ("digits", "last"),
    [("000000000", 0), ("000000001", 5), ("000000002", 9), ("123456789", 1), ("987654321", 5), ("999999999", 7)],
)
def test_the_check_digit_follows_from_the_first_nine(digits: str, last: int) -> None:
    assert check_digit(digits) == last


def test_a_wrong_registration_number_is_told_with_its_place() -> None:
    header = "id,name,employees,registration_number\n"
    path, said = "spec.members.registration_number", "is not a business registration number"
    assert _said(f"{header}m-1,가,8,000-00-00016\nm-2,나,8,1234\n") == [
        f"rice.csv:2:9: {path}: '000-00-00016' {said}: its last digit does not fit the others",
        f"rice.csv:3:9: {path}: '1234' {said}",
    ]


def test_one_firm_twice_is_a_warning() -> None:
    text = "id,name,employees,registration_number\nm-1,가,8,0000000015\nm-2,나,8,000-00-00015\nm-3,다,8,\nm-4,라,8,\n"
    (problem,) = read_csv(text, file=FILE).problems
    assert problem.severity is Severity.WARNING
    assert problem.message == "m-2 and m-1 have the same business registration number 000-00-00015"


def test_inline_registration_numbers_are_checked(tmp_path: Path) -> None:
    wrong = "members: [{id: m-1, name: 가, employees: 8, registrationNumber: 000-00-00016}]"
    (problem,) = world(tmp_path, {"rice": changed(INLINE, wrong)}).problems()
    assert problem.startswith("cooperatives/rice.yaml:9:66: spec.members[0].registrationNumber: '000-00-00016' is not")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a\u200eb", "contains the character U+200E, which a name must not hold"),
        ("a\u202eb", "contains the character U+202E, which a name must not hold"),
        ('"a\nb"', "contains the character U+000A, which a name must not hold"),
        ('"a', "is not CSV: unexpected end of data"),
        ("a" * 100_000, "is 100000 characters long; 100 are the most"),
        ("a" * 1_000_000, "has a cell that is far too long"),
        ('"' + "a" * 1_000_000 + '"', "has a cell that is far too long"),
    ],
    ids=["left-to-right mark", "override", "line break", "open quote", "long", "1 MB", "1 MB in quotes"],
)
def test_hostile_cells_are_problems_with_a_hint(name: str, said: str) -> None:
    (problem,) = read_csv(f"{HEADER}m-1,{name},8\n", file=FILE).problems
    assert said in problem.message
    assert problem.hint or "100 are the most" in said


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE lots; --", "{{ 7 * 7 }}", "${HOME} `id` $(id)", "=1+1", "<b>&"])
def test_names_that_other_languages_would_read_stay_text(name: str) -> None:
    (member,) = read_csv(f"{HEADER}m-1,{name},8\n", file=FILE).members
    assert member.name == name


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,name,employees\nm-1,회원사,8\n".encode("cp949"), "it looks like CP949 (EUC-KR): save it as UTF-8"),
        ("id,name,employees\nm-1,회원사,8\n".encode("utf-16"), "is UTF-16, not UTF-8 (save it as UTF-8)"),
        (b"id,name,employees\nm-1,a\x00b,8\n", "contains a NUL byte"),
        (b"\xef\xbb\xbfid,name,employees\r\nm-1,a,8\r\n", ""),
    ],
    ids=["CP949", "UTF-16", "NUL", "byte order mark and CRLF"],
)
def test_files_of_other_programs_are_read_or_told_how_to_save(tmp_path: Path, content: bytes, said: str) -> None:
    made = world(tmp_path, {"rice": changed(INLINE, "members: {file: ../members/rice.csv}")})
    made.write("members/rice.csv", content)
    problems = made.problems()
    assert (said in problems[0]) if said else (problems == [])


@pytest.mark.parametrize("columns", ["id,name,employees", "id,name,employees,registration_number"])
def test_ten_thousand_rows_are_read_in_a_moment(columns: str) -> None:
    number = ",000-00-00015" if "registration" in columns else ""
    text = columns + "\n" + "".join(f"m-{place},회원사 {place},{place % 49 + 1}{number}\n" for place in range(10_000))
    began = time.process_time()
    assert len(read_csv(text, file=FILE).members) == 10_000
    assert time.process_time() - began < 2


_cell = st.one_of(
    st.from_regex(r"[a-z0-9-]{1,5}", fullmatch=True),
    st.integers(0, 60).map(str),
    st.sampled_from(["000-00-00015", "0000000015", "000-00-00016", ""]),
    st.text(alphabet="가나 \u200b\u1100\u1161\",\t'x\u3000", max_size=4),
)
_line = st.one_of(
    st.tuples(
        st.integers(0, 30),
        st.text(alphabet="가나다 사", max_size=4),
        st.integers(0, 60),
        st.sampled_from(["", ",", ",000-00-00015", ",0000000000", ",000-00-00001"]),
    ).map(lambda row: f"m-{row[0]},{row[1]},{row[2]}{row[3]}"),
    st.lists(_cell, max_size=4).map(",".join),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_line, max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_the_quick_way_and_the_way_row_by_row_agree(lines: list[str], end: str, ends: bool, wide: bool) -> None:
    header = "id,name,employees,registration_number" if wide else "id,name,employees"
    text = end.join([header, *lines]) + (end if ends else "")
    assert read_csv(text, file=FILE) == read_csv_by_row(text, file=FILE)
