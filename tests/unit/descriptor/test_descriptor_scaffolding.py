"""New estates and cooperatives: valid at once, and nothing that exists is overwritten."""

import stat
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from provisioner.descriptor.cooperative import Afterwards, MemberLayout
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import check_estate, load_platform
from provisioner.descriptor.scaffolding import (
    NewCooperative,
    create_cooperative,
    create_estate,
    estate_name,
    new_cluster_id,
    three_years_from,
)
from provisioner.descriptor.writing import write_whole
from provisioner.errors import InvalidDescriptor, UsageError
from provisioner.naming import CLUSTER_ID_MAX, NAME_PATTERN

CATALOGUE = frozenset({"portal"})
BAKERS = NewCooperative(
    name="bakers",
    display_name="한국제과협동조합",
    sector="baking",
    template="manufacturing",
    size="small",
    support_start=date(2026, 1, 1),
    support_end=date(2028, 12, 31),
    afterwards=Afterwards.CONTINUE_PAID,
    domain="bakers.example.kr",
    operators=("baker",),
    solutions=("portal",),
)


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    create_estate(tmp_path / "e", name="e", cluster_id="test", domain_suffix="example.kr")
    return Estate(root=(tmp_path / "e").resolve())


def test_a_new_estate_is_valid_and_keeps_its_passphrase_to_its_owner(estate: Estate) -> None:
    assert check_estate(estate).problems == ()
    passphrase = load_platform(estate).state.passphrase_file
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text().strip()) >= 40
    assert ".coopctl/" in (estate.root / ".gitignore").read_text().splitlines()


def test_an_estate_is_never_overwritten(estate: Estate) -> None:
    before = estate.platform.read_text()
    with pytest.raises(UsageError, match="is an estate already"):
        create_estate(estate.root, name="other", cluster_id="other", domain_suffix="example.org")
    assert estate.platform.read_text() == before


def test_a_begun_estate_is_finished_with_what_it_has(tmp_path: Path) -> None:
    (tmp_path / ".coopctl").mkdir()
    (tmp_path / ".coopctl" / "passphrase").write_text("kept")
    (tmp_path / ".gitignore").write_text("*.log")
    create_estate(tmp_path, name="e", cluster_id="test", domain_suffix="example.kr")
    assert (tmp_path / ".coopctl" / "passphrase").read_text() == "kept"
    assert (tmp_path / ".gitignore").read_text() == "*.log\n.coopctl/\n"


def test_what_others_ignore_is_kept_in_whatever_encoding(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes("내 파일\n".encode("cp949"))
    create_estate(tmp_path, name="e", cluster_id="test", domain_suffix="example.kr")
    assert (tmp_path / ".gitignore").read_bytes() == "내 파일\n".encode("cp949") + b".coopctl/\n"


def test_what_cannot_be_written_is_named_as_people_know_it(tmp_path: Path) -> None:
    (tmp_path / "platform.yaml").mkdir()
    with pytest.raises(OSError, match="directory") as refused:
        write_whole(tmp_path / "platform.yaml", b"x")
    assert refused.value.filename == str(tmp_path / "platform.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["platform.yaml"]


@pytest.mark.parametrize("file", [".coopctl/passphrase", "platform.yaml"])
def test_an_estate_whose_making_is_cut_off_has_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    def cut_off(made: Path, to: Path) -> Path:
        if to == tmp_path / file:
            raise KeyboardInterrupt
        return rename(made, to)

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        create_estate(tmp_path, name="e", cluster_id="test", domain_suffix="example.kr")
    assert not (tmp_path / file).exists()
    monkeypatch.undo()
    create_estate(tmp_path, name="e", cluster_id="test", domain_suffix="example.kr")
    assert (tmp_path / file).stat().st_size > 0


@pytest.mark.parametrize(("name", "suffix"), [("Kube", "example.kr"), ("e", "https://example.kr"), ("e", "x: y\n")])
def test_an_estate_that_would_not_be_valid_is_not_made(tmp_path: Path, name: str, suffix: str) -> None:
    with pytest.raises(InvalidDescriptor):
        create_estate(tmp_path / "e", name=name, cluster_id="test", domain_suffix=suffix)
    assert not (tmp_path / "e").exists()


def test_cluster_ids_fit_and_differ() -> None:
    ids = {new_cluster_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(NAME_PATTERN.fullmatch(name) and len(name) <= CLUSTER_ID_MAX for name in ids)


@pytest.mark.parametrize(
    ("folder", "name"), [("Pilot Estate", "pilot-estate"), ("조합", "estate"), ("kube-x", "estate")]
)
def test_an_estate_is_named_after_its_folder_where_that_can_be(folder: str, name: str) -> None:
    assert estate_name(Path("/srv") / folder) == name


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (date(2014, 6, 1), date(2017, 5, 31)),
        (date(2024, 2, 29), date(2027, 2, 27)),
        (date(2025, 3, 1), date(2028, 2, 29)),
        (date(9996, 12, 31), date(9999, 12, 30)),
        (date(9997, 1, 1), date.max),
        (date.max, date.max),
    ],
)
def test_support_lasts_three_years_or_to_the_end_of_the_calendar(start: date, end: date) -> None:
    assert three_years_from(start) == end


def test_a_new_cooperative_is_valid_at_once(estate: Estate) -> None:
    made = create_cooperative(BAKERS, estate=estate, catalogue_names=CATALOGUE)
    assert [file.name for file in made] == ["bakers.yaml", "bakers.csv"]
    found = check_estate(estate, catalogue_names=CATALOGUE)
    assert [problem.message for problem in found.problems] == ["lists no member"]
    cooperative = found.resolved[0].cooperative
    assert cooperative is not None
    assert (cooperative.display_name, cooperative.operators[0].name) == ("한국제과협동조합", "baker")


@pytest.mark.parametrize("name", ["no", "on", "y", "null", "true"])
@pytest.mark.parametrize("display_name", ["NO", "010", "a: b", '"x" # y', "- x", "{x}", "쌀·조합", "1e3", "~x", "null"])
def test_any_name_survives_being_written(estate: Estate, name: str, display_name: str) -> None:
    wanted = replace(BAKERS, name=name, display_name=display_name, sector=name, domain=f"{name}.example.kr")
    create_cooperative(wanted, estate=estate, catalogue_names=CATALOGUE)
    cooperative = check_estate(estate, catalogue_names=CATALOGUE).resolved[0].cooperative
    assert cooperative is not None
    assert (cooperative.name, cooperative.display_name, cooperative.sector) == (name, display_name, name)


@pytest.mark.parametrize(
    "wanted",
    [
        replace(BAKERS, domain="bakers.example.org"),
        replace(BAKERS, size="huge"),
        replace(BAKERS, support_end=date(2020, 1, 1)),
        replace(BAKERS, display_name="제과\u202e조합"),
        replace(BAKERS, display_name="제과\x00조합"),
        replace(BAKERS, display_name="제과\u2028spec: {}"),
        replace(BAKERS, solutions=("unheard-of",)),
        replace(BAKERS, operators=("system:masters",)),
    ],
)
def test_nothing_is_written_where_something_is_wrong(estate: Estate, wanted: NewCooperative) -> None:
    with pytest.raises(InvalidDescriptor):
        create_cooperative(wanted, estate=estate, catalogue_names=CATALOGUE)
    assert list(estate.root.rglob("bakers*")) == []


@pytest.mark.parametrize("name", ["anglers", "cooks"])
def test_a_domain_of_another_is_refused_before_anything_is_written(estate: Estate, name: str) -> None:
    create_cooperative(BAKERS, estate=estate, catalogue_names=CATALOGUE)
    with pytest.raises(InvalidDescriptor) as caught:
        create_cooperative(replace(BAKERS, name=name), estate=estate, catalogue_names=CATALOGUE)
    (problem,) = caught.value.diagnostics
    assert "is also the domain of bakers" in problem.message
    assert problem.location.file.stem == name
    assert not (estate.cooperatives / f"{name}.yaml").exists()


def test_an_existing_cooperative_or_members_file_is_kept(estate: Estate) -> None:
    (estate.root / "members" / "bakers.csv").write_text("id,name,employees\nm-1,회원사 001,8\n")
    made = create_cooperative(BAKERS, estate=estate, catalogue_names=CATALOGUE)
    assert [file.name for file in made] == ["bakers.yaml"]
    with pytest.raises(UsageError, match="exists already"):
        create_cooperative(BAKERS, estate=estate, catalogue_names=CATALOGUE)
    assert check_estate(estate, catalogue_names=CATALOGUE).problems == ()


@pytest.mark.parametrize(
    ("layout", "said"),
    [(None, False), (MemberLayout.COLUMN, False), (MemberLayout.SCHEMA, True)],
)
def test_a_layout_is_written_where_the_template_has_another(
    estate: Estate, layout: MemberLayout | None, said: bool
) -> None:
    descriptor, _ = create_cooperative(replace(BAKERS, member_layout=layout), estate=estate, catalogue_names=CATALOGUE)
    assert ("memberLayout: schema" in descriptor.read_text()) is said
    assert "memberLayout: column" not in descriptor.read_text()
    (resolved,) = check_estate(estate, catalogue_names=CATALOGUE).resolved
    assert resolved.cooperative is not None
    assert resolved.cooperative.postgres.member_layout is (layout or MemberLayout.COLUMN)
