"""init, new, validate, explain, schema and completion from the command line: answers, files, exit codes."""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli import main
from provisioner.catalogue import images_lock
from provisioner.errors import ExitCode
from tests.unit.plan import builders

PILOT = Path(__file__).parents[2] / "examples" / "pilot"
CI = {name: value for name, value in os.environ.items() if name != "COOPCTL_ESTATE"}


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A new estate, which is the current folder; nobody sits at a terminal."""
    folder = tmp_path / "우리 estate"
    assert main.run(["init", str(folder)]) is ExitCode.DONE
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COOPCTL_ESTATE", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    capsys.readouterr()
    return folder


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[ExitCode, dict[str, Any]]:
    code = main.run([*arguments, "--output", "json"])
    shown = capsys.readouterr()
    assert shown.err == ""
    document: dict[str, Any] = json.loads(shown.out)
    assert document["apiVersion"] == "coopctl.dev/v1"
    return code, document


def test_the_first_own_cooperative_in_three_commands(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ["new", "bakers", "--template", "manufacturing", "--display-name", "한국제과협동조합"]
    assert main.run([*new, "--domain", "bakers.example.kr"]) is ExitCode.DONE
    assert main.run(["validate"]) is ExitCode.DONE
    assert "valid: the platform and 1 cooperative\n" in capsys.readouterr().out
    assert main.run(["explain", "bakers"]) is ExitCode.DONE
    assert "한국제과협동조합" in capsys.readouterr().out


def test_init_refuses_an_estate(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _json(capsys, "init", str(estate))
    assert (code, document["exitCode"]) == (ExitCode.USAGE, 2)


def test_init_tells_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _json(capsys, "init", str(tmp_path / "e"), "--domain-suffix", "coops.example.kr")
    assert code is ExitCode.DONE
    assert str(tmp_path / "e" / "platform.yaml") in str(document["files"])
    assert "coops.example.kr" in (tmp_path / "e" / "platform.yaml").read_text()
    passphrase = (tmp_path / "e" / ".coopctl" / "passphrase").read_text().strip()
    assert passphrase not in str(document)


def test_new_without_a_terminal_never_hangs(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["new", "bakers"]) is ExitCode.USAGE
    shown = capsys.readouterr().err
    assert "--template and --display-name must be given where there is no terminal" in shown
    assert "templates are appliances, distribution, food-processing, gas-distribution, manufacturing," in shown


def test_new_asks_on_a_terminal_for_what_is_missing(
    estate: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = io.StringIO("services\n출판조합\nmedium\n\n")
    monkeypatch.setattr(answers, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", answers)
    assert main.run(["new", "books"]) is ExitCode.DONE
    written = (estate / "cooperatives" / "books.yaml").read_text(encoding="utf-8")
    assert "template: services" in written
    assert "size: medium" in written
    assert "domain: books.example.kr" in written
    assert "Template" not in capsys.readouterr().out


def test_new_suggests_a_template(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ["new", "bakers", "--template", "manufacture", "--display-name", "제과조합"]
    code, document = _json(capsys, *new)
    assert (code, document["hint"]) == (ExitCode.NOT_FOUND, "did you mean 'manufacturing'?")


def test_validate_shows_every_problem_and_its_remedy(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (estate / "cooperatives" / "rice.yaml").write_text("kind: Cooperativ\n")
    assert main.run(["validate"]) is ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    file = estate.resolve() / "cooperatives" / "rice.yaml"
    assert f"{file}:1:7: error: kind: must be Cooperative\n    hint: did you mean 'Cooperative'?\n" in shown.err
    assert "error: 4 problems in 1 file" in shown.err


def test_validate_of_names_leaves_others_out(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ["new", "bakers", "--template", "manufacturing", "--display-name", "제과조합"]
    assert main.run(new) is ExitCode.DONE
    (estate / "cooperatives" / "rice.yaml").write_text("kind: Cooperativ\n")
    capsys.readouterr()
    code, document = _json(capsys, "validate", "bakers")
    assert (code, document["cooperatives"]) == (ExitCode.DONE, ["bakers"])
    assert main.run(["validate", "nobody"]) is ExitCode.NOT_FOUND


def test_explain_tells_value_origin_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    where = ["explain", "publishing", "dataStore.objects.quota", "--estate", str(PILOT)]
    code, document = _json(capsys, *where)
    assert code is ExitCode.DONE
    file = PILOT / "cooperatives" / "publishing.yaml"
    assert document["values"] == [
        {
            "path": "spec.dataStore.objects.quota",
            "value": "200Gi",
            "origin": "descriptor",
            "expression": None,
            "where": f"{file}:18:22",
        }
    ]


def test_explain_of_a_wrong_path_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _json(capsys, "explain", "publishing", "spec.dataStor", "--estate", str(PILOT))
    assert (code, document["hint"]) == (ExitCode.NOT_FOUND, "did you mean 'spec.dataStore'?")


def test_schema_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ([], ["Cooperative"], ["Platform"], ["TenantTemplate"]):
        assert main.run(["schema", *kind]) is ExitCode.DONE
        assert json.loads(capsys.readouterr().out)["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o"), ("zsh", "#compdef coopctl"), ("fish", "--command coopctl")]
)
def test_completion_prints_the_shells_script(shell: str, mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) is ExitCode.DONE
    assert mark in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("explain --estate ESTATE pl", ["plain,plastics"]),
        ("new --estate ESTATE --template marine", ["plain,marine-equipment"]),
        ("new --estate ESTATE --template own", ["plain,own-kind"]),
        ("dev logs --estate ESTATE kube-s", ["plain,kube-scheduler"]),
        ("images build --estate ESTATE port", ["plain,portal"]),
        ("catalogue mirror --estate ESTATE prob", ["plain,probe"]),
        ("member show --estate ESTATE plastics m-001", ["plain,m-001"]),
        ("member remove --estate ESTATE plastics m-001", ["plain,m-001"]),
        ("member show --estate ESTATE nobody m-001", []),
    ],
)
def test_names_are_completed_from_files(tmp_path: Path, words: str, found: list[str]) -> None:
    for file in ("tenant_templates/own-kind/template.yaml", ".coopctl/embedded/logs/kube-scheduler.log"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    shutil.copytree(PILOT, tmp_path, dirs_exist_ok=True)
    typed = f"coopctl {words}".replace("ESTATE", str(tmp_path))
    run = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()"],
        env={
            **CI,
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
            "_COOPCTL_COMPLETE": "bash_complete",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout.split() == found


@pytest.mark.parametrize("module", ["pulumi", "kubernetes", "boto3", "psycopg", "rich"])
def test_validate_imports_no_server_library(module: str) -> None:
    code = (
        "import sys; from cli import main; "
        f"main.run(['validate', '--estate', {str(PILOT)!r}]); sys.exit({module!r} in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


SERVER_LIBRARIES = ("pulumi", "pulumi_kubernetes", "kubernetes", "boto3", "psycopg")
# helm-render is played: it is a program, and what it imports is not coopctl's matter.
RUN_AND_LOOK = """
import sys
from cli import main
from provisioner.toolchain import Toolchain
Toolchain.ensure = lambda self, names, *, report: dict.fromkeys(names, sys.argv[1])
code = main.run(sys.argv[3:])
print(*(module for module in sys.argv[2].split(",") if module in sys.modules), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "render tea",
        "render tea --format json",
        "explain tea",
        "schema",
        "completion bash",
        "new rice --template services --display-name rice",
        "init made",
    ],
)
def test_what_needs_no_server_imports_no_server_library(estate: Path, arguments: str) -> None:
    new = ["new", "tea", "--template", "services", "--display-name", "차조합"]
    assert main.run(new) is ExitCode.DONE
    images_lock.write(replace(builders.fake_lock(), source=estate / "images.lock"))
    helm_render = estate / "helm-render"
    helm_render.write_text("#!/bin/sh\necho '{kind: Deployment}'\n")
    helm_render.chmod(0o755)
    run = subprocess.run(
        [sys.executable, "-c", RUN_AND_LOOK, str(helm_render), ",".join(SERVER_LIBRARIES), *arguments.split()],
        check=False,
        capture_output=True,
        text=True,
        env=CI,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1] == "", run.stderr
    if arguments.startswith("render"):
        assert "Deployment" in run.stdout


def test_the_template_of_the_how_to_works(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (PILOT.parents[1] / "docs" / "how-to" / "write-a-template.md").read_text(encoding="utf-8")
    template = page.partition("```yaml\n")[2].partition("```")[0]
    folder = estate / "tenant_templates" / "fisheries"
    folder.mkdir(parents=True)
    (folder / "template.yaml").write_text(template, encoding="utf-8")
    for name, size in (("harbour", "small"), ("fleet", "large")):
        new = ["new", name, "--template", "fisheries", "--size", size, "--display-name", "항구조합"]
        assert main.run(new) is ExitCode.DONE
    capsys.readouterr()
    _, document = _json(capsys, "explain", "fleet", "resources.apps.counts.pods")
    (value,) = document["values"]
    assert (value["value"], value["origin"], value["expression"]) == ("60", "size", "{{ 60 + members // 40 }}")
