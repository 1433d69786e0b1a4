"""`coopctl member`: what it says, which file it changes, and how it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyrage import x25519

from provisioner.datastore.postgres_memory import MemoryPostgres
from provisioner.errors import ExitCode
from provisioner.naming import CooperativeName, tenant_names
from provisioner.operations import leaving
from provisioner.operations import members as members_of_database
from provisioner.operations.leaving import Leaving
from provisioner.plan.postgres import members_of
from provisioner.plan.tenant import tenant_of
from tests.data_stores import CLUSTER, Tenant, foreign_mark, make_data_store
from tests.unit.cli.without_servers import PlayedEstate, cooperative, played_estate, type_at_terminal
from tests.unit.descriptor.worlds import PLATFORM

RECIPIENT = x25519.Identity.generate().to_public()
CSV = "id,name,employees\nm-1,회원사 001,8\nm-2,회원사 002,9\n"
INLINE = "members: [{id: m-1, name: 회원사 001, employees: 8}]"


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """Two cooperatives: the members of one are in a file, of the other in its document."""
    rice = cooperative("rice").replace(INLINE, "members: {file: ../members/rice.csv}")
    with played_estate(
        tmp_path / "estate", monkeypatch, cooperatives={"rice": rice, "tea": cooperative("tea")}
    ) as made:
        made.world.write("members/rice.csv", CSV)
        yield made


def listed(estate: PlayedEstate) -> str:
    return (estate.root / "members/rice.csv").read_text(encoding="utf-8")


def in_database(estate: PlayedEstate, *ids: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers and has the members ``ids`` of rice."""
    from provisioner.descriptor.loading import load_estate

    platform, (rice,) = load_estate(estate.world.estate, names=("rice",))
    planned = tenant_of(rice, cluster=platform.cluster.id)
    tenant, admin = Tenant(names=planned.names), MemoryPostgres()
    assert platform.cluster.id == CLUSTER
    make_data_store(admin, tenant, member_column=members_of(planned).member_column)
    wanted = tenant.members(*ids, member_column=members_of(planned).member_column)
    admin.ensure_members(wanted, mark=tenant.mark)
    monkeypatch.setattr(members_of_database, "open_postgres", lambda *_, **__: admin)


def test_the_list_says_who_is_in_the_database(
    estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_database(estate, "m-1", monkeypatch=monkeypatch)
    assert estate.run("member", "list", "rice", "-o", "json") is ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["cooperative"], document["unknown"]) == ("MemberList", "rice", None)
    assert [(one["id"], one["provisioned"]) for one in document["members"]] == [("m-1", True), ("m-2", False)]
    assert estate.run("member", "list", "rice") is ExitCode.DONE
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split()[:3] == ["id", "name", "employees"]
    assert shown[1].split() == ["m-1", "회원사", "001", "8", "yes"]


def test_without_a_database_nobody_is_provisioned(
    estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(members_of_database, "open_postgres", lambda *_, **__: MemoryPostgres())
    assert estate.run("member", "show", "rice", "m-2", "-o", "json") is ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert document["member"]["provisioned"] is False
    assert (document["role"], document["schema"], document["memberLayout"]) == ("rice_member_m_2", None, "column")


def test_where_the_server_does_not_answer_the_files_do(
    estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> None:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr("provisioner.operations.reaching.connect", refuse)
    assert estate.run("member", "show", "rice", "m-2") is ExitCode.DONE
    shown = capsys.readouterr()
    assert "in the database      unknown" in shown.out
    assert "from the files alone, the database was not asked: PostgreSQL at 127.0.0.1" in shown.err
    assert estate.run("member", "list", "tea", "-o", "json") is ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert document["members"][0]["provisioned"] is None
    assert "does not answer" in document["unknown"]


def test_a_member_is_added_and_the_next_step_is_told(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--id", "m-3", "--name", "회원사 003", "--employees", "50", "--registration-number", "0000000015"]
    assert estate.run("member", "add", "rice", *arguments) is ExitCode.DONE
    shown = capsys.readouterr()
    assert shown.out == f"added m-3 to {estate.root / 'members/rice.csv'}\n"
    assert "warning: 1 of 1 have 50 employees or more (the first is m-3)" in shown.err
    assert "coopctl apply rice" in shown.err
    assert listed(estate).splitlines()[-1] == "m-3,회원사 003,50,000-00-00015"


def test_all_members_of_a_file_are_added(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    more = estate.root / "more.csv"
    more.write_text("employees,id,name\n7,m-3,다\n7,m-4,라\n")
    assert estate.run("member", "add", "rice", "--file", str(more), "-o", "json") is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["added"] == ["m-3", "m-4"]
    assert listed(estate) == f"{CSV}m-3,다,7\nm-4,라,7\n"


def test_what_is_missing_is_asked_for_on_a_terminal(estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    type_at_terminal("회원사 003\n12", monkeypatch)
    assert estate.run("member", "add", "rice", "--id", "m-3") is ExitCode.DONE
    assert listed(estate).splitlines()[-1] == "m-3,회원사 003,12"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "rice", "--id", "m-3"], ExitCode.USAGE, "--name and --employees must be given where there is no"),
        (["add", "rice", "--id", "M", "--name", "x", "--employees", "1"], ExitCode.USAGE, "--id: 'M' must be"),
        (["add", "rice", "--id", "m-1", "--name", "x", "--employees", "1"], ExitCode.USAGE, "already: m-1"),
        (["add", "rice", "--id", "m-3", "--file", "FILE"], ExitCode.USAGE, "exclude each other"),
        (["add", "rice", "--file", "FILE"], ExitCode.USAGE, "lists no member"),
        (["add", "rice", "--file", "BROKEN"], ExitCode.USAGE, "repeats the id 'm-7' of line 2"),
        (["add", "rise", "--file", "BROKEN"], ExitCode.USAGE, "repeats the id"),
        (["add", "rice", "--file", "nowhere.csv"], ExitCode.NOT_FOUND, "there is no file nowhere.csv"),
        (["list", "rise"], ExitCode.NOT_FOUND, "did you mean 'rice'?"),
        (["show", "rice", "m-9"], ExitCode.NOT_FOUND, "rice has no member 'm-9'"),
        (["remove", "rice", "m-9", "--yes"], ExitCode.NOT_FOUND, "rice has no member 'm-9'"),
        (["remove", "rice", "m-1"], ExitCode.USAGE, "hint: add --yes"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(
    estate: PlayedEstate, arguments: list[str], code: ExitCode, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"FILE": "id,name,employees\n", "BROKEN": "id,name,employees\nm-7,a,1\nm-7,b,1\n"}
    for name, text in files.items():
        (estate.root / name).write_text(text)
    words = [str(estate.root / word) if word in files else word for word in arguments]
    assert estate.run("member", *words) is code
    assert said in capsys.readouterr().err
    assert listed(estate) == CSV


def test_removing_asks_and_says_what_it_means(
    estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_at_terminal("n", monkeypatch)
    assert estate.run("member", "remove", "rice", "m-1") is ExitCode.CANCELLED
    asked = capsys.readouterr().err
    assert "takes m-1 (회원사 001) off the list" in asked
    assert "apply asks to be told what becomes of them" in asked
    assert listed(estate) == CSV
    type_at_terminal("y", monkeypatch)
    assert estate.run("member", "remove", "rice", "m-1") is ExitCode.DONE
    assert listed(estate) == CSV.replace("m-1,회원사 001,8\n", "")
    assert "removed m-1 from" in capsys.readouterr().out


def test_members_in_a_document_are_edited_there(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    assert estate.run("member", "remove", "tea", "m-1", "--yes", "-o", "json") is ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["removed"]) == ("MemberRemoved", "m-1")
    assert document["file"].endswith("cooperatives/tea.yaml")
    assert "members: []" in (estate.root / "cooperatives/tea.yaml").read_text()


def test_apply_refuses_that_a_member_with_data_leaves_and_asks_before_data_are_deleted(
    estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = Tenant(names=tenant_names(CooperativeName("rice"), cluster=CLUSTER)).members("m-1", "m-2")
    gone = Leaving(stack="rice", mark=foreign_mark(), before=wanted, members=("m-2",))
    monkeypatch.setattr(leaving, "find_leaving", lambda *_, **__: (gone,))
    assert estate.run("apply", "rice", "--yes") is ExitCode.POLICY
    assert "why: rice: m-2" in capsys.readouterr().err
    assert estate.run("apply", "rice", "--leaving-data", "delete", "--yes") is ExitCode.USAGE
    assert "the platform names no place for it" in capsys.readouterr().err
    estate.world.write("platform.yaml", f"{PLATFORM}  dumps: {{location: dumps, recipient: {RECIPIENT}}}\n")
    type_at_terminal("n", monkeypatch)
    assert estate.run("apply", "rice", "--leaving-data", "delete") is ExitCode.CANCELLED
    assert "deletes the data of members, after a verified dump: rice: m-2" in capsys.readouterr().err
    assert ("up", "rice") not in estate.engine.called
