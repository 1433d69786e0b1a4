"""What `coopctl migrate preflight` and `plan` say, with which exit code, and what `due` knows of it afterwards."""

import pytest

from provisioner.migration.journal import journal_file, read
from provisioner.migration.journal_entries import RunEnding, RunKind
from tests.cluster_objects import ReadyCluster, serving
from tests.integration.migration_commands.conftest import NAME, World

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=60)]


def _endings(moving: World) -> list[tuple[RunKind, RunEnding | None, object]]:
    record = read(journal_file(moving.root / ".coopctl", NAME))
    assert record is not None
    return [(run.kind, run.ending, run.result.get("problems")) for run in record.runs]


def test_a_target_that_is_ready_is_said_to_be_and_recorded(moving: World) -> None:
    code, found = moving.json("migrate", "preflight", NAME)
    assert (code, found["ready"], found["targetOnly"]) == (0, True, False)
    assert [one["what"] for one in found["problems"] if one["severity"] == "error"] == []
    assert 'the replica identity of "public"."notes" is changed' in str(found["problems"])
    names = moving.bucket.tenant.names
    for what, name in (("database", names.database), ("bucket", names.bucket)):
        assert f"make a {what} called {name} on the target" in str(found["problems"])
    code, shown, _ = moving.run("migrate", "plan", NAME)
    assert code == 0
    assert "publish 2 tables on the source, 1 of them with another replica identity" in shown
    assert "online: about" in shown
    assert _endings(moving) == 2 * [(RunKind.PREFLIGHT, RunEnding.PASSED, 0)]
    assert moving.leftovers() == []


def test_every_problem_is_named_at_once_with_its_remedy(moving: World) -> None:
    moving.on_target("CREATE TABLE theirs (id int)")
    moving.target_bucket.put("theirs", b"x")
    code, found = moving.json("migrate", "preflight", NAME)
    errors = [one for one in found["problems"] if one["severity"] == "error"]
    assert (code, found["ready"]) == (11, False)
    assert [one["what"].partition(" holds")[0].partition(" is not empty")[0] for one in errors] == [
        f"the target's database {moving.target.database}",
        f"{moving.target_bucket.admin}",
    ]
    assert errors[0]["remedy"].startswith("DROP DATABASE")
    assert _endings(moving) == [(RunKind.PREFLIGHT, RunEnding.PROBLEMS, 2)]
    code, _, said = moving.run("migrate", "start", NAME)
    assert code == 11
    assert "2 problems must be mended before rice-out can begin" in said


def test_the_cooperative_looks_at_its_target_alone(moving: World) -> None:
    (moving.root / "platform.yaml").unlink()
    del moving.environment["SOURCE_PASSWORD"]
    code, found = moving.json("migrate", "preflight", NAME, "--target-only")
    assert (code, found["ready"], found["targetOnly"], found["plan"]) == (0, True, True, None)
    moving.on_target("CREATE TABLE theirs (id int)")
    code, shown, _ = moving.run("migrate", "preflight", NAME, "--target-only")
    assert code == 11
    assert "remedy: DROP DATABASE" in shown


def test_wrong_names_and_missing_credentials_are_told_with_a_remedy(moving: World) -> None:
    code, _, said = moving.run("migrate", "preflight", "rice-ot")
    assert code == 6
    assert "did you mean 'rice-out'?" in said
    moving.environment["TARGET_DSN"] = ""
    code, _, said = moving.run("migrate", "plan", NAME)
    assert code == 6
    assert "put it into the environment variable TARGET_DSN" in said


def test_what_the_target_s_key_may_not_do_is_a_problem_with_its_remedy(moving: World) -> None:
    key = moving.target_bucket.key
    moving.environment["TARGET_KEY"] = f"{key.id}:{key.secret.reveal()}"
    code, found = moving.json("migrate", "preflight", NAME)
    assert code == 11
    [problem] = [one for one in found["problems"] if one["severity"] == "error"]
    assert "is refused" in problem["what"]
    assert "s3:" in problem["remedy"]


def test_a_target_that_does_not_answer_is_told_without_its_password(moving: World) -> None:
    moving.environment["TARGET_DSN"] = "postgresql://postgres:hush-hush@127.0.0.1:1/moved"
    code, _, said = moving.run("migrate", "preflight", NAME)
    assert code == 1
    assert "PostgreSQL at 127.0.0.1:1, database moved cannot be reached" in said
    assert "see that the target's server runs" in said
    assert "hush-hush" not in said
    assert [(kind, ending) for kind, ending, _ in _endings(moving)] == [(RunKind.PREFLIGHT, RunEnding.FAILED)]


def test_the_cluster_for_the_solutions_is_looked_at_by_both_forms(moving: World) -> None:
    document = moving.root / "migrations" / f"{NAME}.yaml"
    document.write_text(document.read_text() + "    cluster: {kubeconfig: {file: theirs}}\n")
    kubeconfig = moving.root / "theirs"
    with serving(ReadyCluster(denied=frozenset({("create", "namespaces")}))) as cluster:
        cluster.kubeconfig(kubeconfig)
        for options in ((), ("--target-only",)):
            code, found = moving.json("migrate", "preflight", NAME, *options)
            errors = [one["what"] for one in found["problems"] if one["severity"] == "error"]
            assert code == 11
            assert errors == [f"the kubeconfig's user may not create namespaces at http://127.0.0.1:{cluster.port}"]
        key = moving.target_bucket.key
        moving.environment["TARGET_KEY"] = f"{key.id}:{key.secret.reveal()}"
        found = moving.json("migrate", "preflight", NAME, "--target-only")[1]
        assert "the access key manages no identities at" in str(found["problems"])
    code, shown, _ = moving.run("migrate", "preflight", NAME, "--target-only")
    assert code == 11
    assert "error: the cluster for the solutions: the API server at" in shown
    assert "remedy: see that it runs and lets this machine in" in shown
