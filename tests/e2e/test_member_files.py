"""`member-files` on a real node: the example estate of laboratories, whose members come through the ingress.

The office hands out passwords; two members keep a document each and see their own alone; a third one is added, and has
its place after the next apply without any pod beginning anew. The proof of all of it finds no way through.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from examples.solutions import first_logins
from provisioner.naming import LABEL_SOLUTION
from provisioner.toolchain import Toolchain
from tests.e2e.conftest import estate_inside
from tests.integration.node.conftest import wait
from tests.member_files import GOOD_PASSWORD, BrowserSession, FilesClient, document_path
from tests.network_namespace import NetworkNamespace
from tests.running_estate import RunningEstate

pytestmark = [
    pytest.mark.node,
    pytest.mark.usefixtures("inside"),
    pytest.mark.long(seconds=240),
    pytest.mark.timeout(7200),
]
LABORATORIES = Path(__file__).parents[2] / "examples" / "laboratories"
OWN = "calibration"


@dataclass(frozen=True, kw_only=True)
class Laboratories:
    """The cooperative, applied and proved, and its office's session."""

    estate: RunningEstate
    proved: str
    client: FilesClient
    office: FilesClient

    def pods(self) -> set[str]:
        """The solution's pods."""
        found = self.estate.get("pods", "-n", f"{OWN}-apps", "-l", f"{LABEL_SOLUTION}=member-files")["items"]
        return {pod["metadata"]["name"] for pod in found}

    def member(self, member: str) -> FilesClient:
        """A member's session, with a password of its own."""
        return self.client.settled(member, self.office.give_password(member))


def copied(folder: Path) -> Path:
    """The example estate, without what belongs to a machine."""
    shutil.copytree(LABORATORIES, folder, ignore=shutil.ignore_patterns(".coopctl", "images.lock"))
    return folder


@pytest.fixture(scope="module")
def laboratories(network: NetworkNamespace, toolchain: Toolchain) -> Iterator[Laboratories]:
    """The cooperative as its README says to run it."""
    with estate_inside(network, toolchain=toolchain, copied=copied) as estate:
        estate.coopctl("dev", "up", "--node", "real")
        estate.coopctl("images", "build", "--used", "--push")
        proved = estate.coopctl("apply", OWN, "--yes")
        [login] = first_logins(OWN, estate=estate.root)
        place = urlsplit(login.url)
        client = FilesClient(url=f"http://127.0.0.1:{place.port}", host=place.netloc)
        wait(lambda: client.send("GET", "/healthz").status == 200, "the way through the ingress")
        office = client.settled(login.user, login.password)
        yield Laboratories(estate=estate, proved=proved, client=client, office=office)


def test_the_office_lists_every_member_and_no_document(laboratories: Laboratories) -> None:
    members = laboratories.office.call("GET", "/members").document["members"]
    assert (members[0], members[-1], len(members)) == ("m-001", "m-024", 24)
    assert laboratories.office.call("GET", "/documents").status == 404


def test_two_members_keep_documents_through_the_ingress_and_see_their_own_alone(laboratories: Laboratories) -> None:
    one, other = laboratories.member("m-001"), laboratories.member("m-002")
    contents = {"교정 성적서.pdf": b"%PDF-1.7 " + bytes(4 * 1024 * 1024), "계약서.pdf": b"a contract"}
    made = [
        client.upload(name, content) for client, (name, content) in zip((one, other), contents.items(), strict=True)
    ]
    assert [answer.status for answer in made] == [201, 201], made
    for client, answer, (name, content) in zip((one, other), made, contents.items(), strict=True):
        assert client.names() == [name]
        assert client.call("GET", document_path(answer.document["id"])).body == content
    assert one.upload("too-large.bin", bytes(5 * 1024 * 1024 + 1)).status == 413
    rows = laboratories.estate.rows("SELECT name FROM member_m_001.member_files_document", database=OWN)
    assert rows == [("교정 성적서.pdf",)]


def test_a_member_sees_its_page_in_a_browser(laboratories: Laboratories) -> None:
    laboratories.member("m-003")
    entered = BrowserSession(client=laboratories.client).entered("m-003", GOOD_PASSWORD)
    assert entered.upload("시험 성적서.pdf", b"%PDF").status == 303
    assert "시험 성적서.pdf" in entered.get("/").body.decode()


def test_a_member_that_is_added_has_its_place_after_the_next_apply_and_no_pod_begins_anew(
    laboratories: Laboratories,
) -> None:
    estate, pods = laboratories.estate, laboratories.pods()
    assert laboratories.office.call("POST", "/members/m-025/password").status == 404
    estate.coopctl("member", "add", OWN, "--id", "m-025", "--name", "회원사 025", "--employees", "9")
    estate.coopctl("apply", OWN, "--yes", "--no-prove")
    added = laboratories.member("m-025")
    assert added.upload("first.txt", b"first").status == 201
    assert added.names() == ["first.txt"]
    assert laboratories.pods() == pods
    assert estate.document("plan", OWN, "--refresh")["changes"] is False


def test_the_cooperative_is_proved_before_and_after(laboratories: Laboratories) -> None:
    assert "GOT THROUGH" not in laboratories.proved
    [proof] = laboratories.estate.document("prove", OWN)["proofs"]
    assert proof["isolated"] is True
