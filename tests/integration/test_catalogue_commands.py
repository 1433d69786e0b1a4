"""`coopctl catalogue` as it is called: answers in every form, exit codes, wrong input."""

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

from cli import main, wiring
from provisioner.catalogue import images_lock
from provisioner.catalogue.images.sbom import Component, write_sbom
from provisioner.descriptor.endpoints import embedded_files, write_endpoints
from provisioner.errors import ExitCode
from tests.bad_charts.changing import good_chart
from tests.free_ports import claimed_endpoints
from tests.unit.plan import builders
from tests.unit.plan.pilots import PILOT


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder far from any estate; the current one."""
    folder = tmp_path / "바깥 folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COOPCTL_ESTATE", raising=False)
    return folder


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """A copy of the pilot estate with a lock."""
    folder = tmp_path / "estate"
    shutil.copytree(PILOT.root, folder, ignore=shutil.ignore_patterns(".coopctl", "images.lock"))
    lock = images_lock.read(folder / "images.lock")
    images_lock.write(lock.with_image("portal", builders.fake_lock().image("portal")))
    return folder


def run(*arguments: str) -> ExitCode:
    """Call `coopctl catalogue`."""
    return main.run(["catalogue", *arguments])


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: ExitCode = ExitCode.DONE) -> dict[str, Any]:
    """The JSON document of a call."""
    assert run(*arguments, "-o", "json") is code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def replaced(file: Path, old: str, new: str) -> None:
    """Change a file, which must hold ``old``."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_list_shows_names_terms_and_review(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") is ExitCode.DONE
    shown = capsys.readouterr().out
    for text in ("portal", "조합 포털", "Cooperative portal", "basic", "1.0.0", "approved", "free", "Apache-2.0"):
        assert text in shown


def test_list_is_narrowed_by_category_and_sector(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(outside / "charts")
    replaced(chart / "Chart.yaml", "category: basic\n", "category: specialised\n  coopctl.dev/sectors: plating\n")
    here = ("--catalogue", "charts")

    def names(*arguments: str) -> list[str]:
        return [one["name"] for one in answer(capsys, "list", *here, *arguments)["solutions"]]

    assert names() == names("--category", "specialised") == names("--sector", "plating") == ["portal"]
    assert names("--category", "basic") == names("--sector", "fishing") == []


def test_an_estate_offers_its_own_charts_beside_those_of_coopctl_and_before_them(
    estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("portal", "tea"):
        made = estate / f"made-{name}"
        chart = good_chart(made).rename(made / name)
        replaced(chart / "Chart.yaml", "name: portal", f"name: {name}")
        replaced(chart / "Chart.yaml", "version: 1.0.0", "version: 1.0.1")
        document = answer(capsys, "add", str(chart), "--estate", str(estate))
        assert document["chart"] == str(estate / "charts" / name)
    listed = answer(capsys, "list", "--estate", str(estate))["solutions"]
    versions = {one["name"]: one["version"] for one in listed}
    assert (versions["portal"], versions["tea"], versions["ledger"]) == ("1.0.1", "1.0.1", "1.0.0")
    assert "tea" not in [one["name"] for one in answer(capsys, "list")["solutions"]]
    shown = answer(capsys, "show", "portal", "--estate", str(estate))
    assert (shown["version"], shown["review"]) == ("1.0.1", "proposed")
    (found,) = answer(capsys, "lint", "tea", "--estate", str(estate))["charts"]
    assert (found["name"], found["violations"]) == ("tea", [])


def test_a_cooperative_chooses_what_its_estate_alone_offers(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(estate / "charts").rename(estate / "charts" / "tea")
    replaced(chart / "Chart.yaml", "name: portal", "name: tea")
    replaced(estate / "cooperatives" / "lp-gas.yaml", "{name: portal}", "{name: tea}")
    assert main.run(["validate", "--estate", str(estate)]) is ExitCode.DONE
    replaced(chart / "Chart.yaml", "review: approved", "review: proposed")
    assert main.run(["validate", "--estate", str(estate)]) is ExitCode.USAGE
    assert "spec.solutions.tea: is proposed" in capsys.readouterr().err


def test_show_tells_the_oldest_version_that_will_do(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(outside / "charts")
    older = shutil.copytree(chart, outside / "charts" / "tea")
    replaced(older / "Chart.yaml", "name: portal", "name: tea")
    replaced(older / "Chart.yaml", "category: basic\n", "category: basic\n  coopctl.dev/serves: http 80:8080\n")
    replaced(chart / "Chart.yaml", "category: basic\n", 'category: basic\n  coopctl.dev/integrates: "tea >= 1.2.0"\n')
    here = ("show", "portal", "--catalogue", "charts")
    document = answer(capsys, *here)
    assert (document["integrates"], document["oldest"]) == (["tea"], {"tea": "1.2.0"})
    assert run(*here) is ExitCode.DONE
    assert "integrates:       tea >= 1.2.0\n" in capsys.readouterr().out


def test_show_tells_terms_needs_and_data_without_an_estate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "portal") is ExitCode.DONE
    shown = capsys.readouterr().out
    for text in ("portal 1.0.0: 조합 포털", "publisher:        coopctl", "needs size:       small", "(no digest here)"):
        assert text in shown


def test_show_tells_digests_of_the_estate_and_packages_of_the_built_image(
    estate: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wiring, "image_cache", lambda: tmp_path / "cache")
    where = ("show", "portal", "--estate", str(estate))
    (image,) = answer(capsys, *where)["images"]
    assert (image["digest"], image["packages"]) == (builders.FAKE_DIGEST, None)
    built = tmp_path / "cache" / "portal" / "0123"
    built.mkdir(parents=True)
    nginx = Component(name="nginx", version="1.26", sha256="0" * 64, architecture="amd64", source="nginx-src")
    write_sbom(built, image="portal", digest=builders.FAKE_DIGEST, components=[nginx])
    (image,) = answer(capsys, *where)["images"]
    assert image["packages"] == [{"name": "nginx", "version": "1.26", "source": "nginx-src", "sha256": "0" * 64}]
    assert run(*where) is ExitCode.DONE
    shown = capsys.readouterr().out
    assert f"portal coopctl/portal@{builders.FAKE_DIGEST}, 1 package\n" in shown
    assert "nginx-src" in shown


def test_show_of_what_is_not_on_offer_names_what_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "potral") is ExitCode.NOT_FOUND
    assert "portal" in capsys.readouterr().err


def test_lint_of_the_shipped_catalogue_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lint") is ExitCode.DONE
    assert capsys.readouterr().out.endswith("no violation\n")


@pytest.mark.parametrize("given", ["portal", "charts/portal", "charts/portal/", "."])
def test_lint_takes_folders_and_names(outside: Path, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chart = good_chart(outside / "charts")
    if given == ".":
        monkeypatch.chdir(chart)
    assert run("lint", given, "--catalogue", str(outside / "charts")) is ExitCode.DONE


def test_lint_tells_rule_file_line_reason_and_remedy(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(outside / "charts")
    replaced(chart / "templates" / "service.yaml", "ClusterIP", "NodePort")
    assert run("lint", "charts/portal") is ExitCode.POLICY
    first, why, remedy, summary = capsys.readouterr().out.splitlines()
    where = "charts/portal/templates/service.yaml:11"
    assert first == f"{where}: high: service-type: Service example-apps/portal: spec.type: is NodePort"
    assert why.startswith("    why: ")
    assert remedy.startswith("    remedy: leave type out")
    assert summary == "portal: 5 objects judged: 1 violation"


def test_lint_as_json_and_as_sarif(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(outside / "charts")
    (chart / "data-map.yaml").unlink()
    replaced(chart / "templates" / "deployment.yaml", "livenessProbe", "startupProbe")
    (found,) = answer(capsys, "lint", "charts/portal", code=ExitCode.POLICY)["charts"]
    assert (found["name"], found["objects"]) == ("portal", 5)
    assert {one["rule"]: one["line"] for one in found["violations"]} == {"chart-data-map": 1, "chart-probes": 33}
    assert run("lint", "charts/portal", "-o", "sarif") is ExitCode.POLICY
    document = json.loads(capsys.readouterr().out)
    SarifLog.model_validate(document)
    (log,) = document["runs"]
    for result in log["results"]:
        assert log["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"].startswith("charts/portal/")
        assert place["region"]["startLine"] > 0


def test_lint_judges_for_the_platform_of_the_estate(
    outside: Path, estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = good_chart(outside / "charts")
    replaced(chart / "templates" / "ingress.yaml", "{{ .Values.coopctl.host | quote }}", "portal.example.example.kr")
    assert run("lint", "charts/portal") is ExitCode.DONE
    capsys.readouterr()
    replaced(estate / "platform.yaml", "example.kr", "coops.example.kr")
    assert run("lint", "charts/portal", "--estate", str(estate)) is ExitCode.POLICY
    assert "is not below the tenant's domain example.coops.example.kr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("lint", "potral"), ExitCode.NOT_FOUND, "did you mean 'portal'?"),
        (("lint", "no/such/folder"), ExitCode.NOT_FOUND, "give a chart's folder"),
        (("lint", "file.tgz"), ExitCode.USAGE, "`coopctl catalogue add` takes archives"),
        (("lint", "--estate", "nowhere"), ExitCode.NOT_FOUND, "coopctl init"),
        (("list", "--catalogue", "nowhere"), ExitCode.NOT_FOUND, "does not exist"),
        (("list", "--category", "special"), ExitCode.USAGE, "--category"),
        (("add", "nowhere", "--catalogue", "."), ExitCode.NOT_FOUND, "give a chart's folder, or its archive"),
        (("add", "file.tgz", "--catalogue", "nowhere"), ExitCode.NOT_FOUND, "mkdir -p"),
        (("add", "file.tgz", "--catalogue", "."), ExitCode.USAGE, "no gzipped tar"),
        (("verify",), ExitCode.NOT_FOUND, "coopctl init"),
        (("mirror",), ExitCode.NOT_FOUND, "coopctl init"),
        (("lst",), ExitCode.USAGE, "list"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(
    outside: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: ExitCode, told: str
) -> None:
    (outside / "file.tgz").write_text("no archive")
    assert run(*arguments) is code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err


def test_add_takes_in_what_passes_and_says_what_comes_next(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(outside / "mine")
    with tarfile.open("portal-1.0.0.tgz", "w:gz") as archive:
        archive.add(chart, arcname="portal")
    (outside / "charts").mkdir()
    assert run("add", "portal-1.0.0.tgz", "--catalogue", "charts") is ExitCode.DONE
    shown = capsys.readouterr()
    assert shown.out == "added portal 1.0.0: charts/portal (proposed)\n"
    assert "set coopctl.dev/review: approved" in shown.err
    assert answer(capsys, "list", "--catalogue", "charts")["solutions"][0]["review"] == "proposed"
    assert run("add", str(chart), "--catalogue", "charts") is ExitCode.USAGE
    assert "raise the version" in capsys.readouterr().err
    replaced(chart / "Chart.yaml", "version: 1.0.0", "version: 1.0.1")
    document = answer(capsys, "add", str(chart), "--catalogue", "charts")
    assert (document["kind"], document["version"], document["replaced"]) == ("AddedChart", "1.0.1", "1.0.0")


def test_add_refuses_what_breaks_a_rule(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(outside / "mine")
    replaced(chart / "templates" / "service.yaml", "ClusterIP", "NodePort")
    (outside / "charts").mkdir()
    assert run("add", "mine/portal", "--catalogue", "charts") is ExitCode.POLICY
    assert "mine/portal/templates/service.yaml:11: high: service-type" in capsys.readouterr().out
    assert os.listdir(outside / "charts") == []  # noqa: PTH208 - hidden ones too


def test_add_refuses_a_link_before_anything_reads_it(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = good_chart(outside / "mine")
    (chart / "templates" / "passwords.yaml").symlink_to("/etc/shadow")
    (outside / "charts").mkdir()
    assert run("add", "mine/portal", "--catalogue", "charts") is ExitCode.USAGE
    assert "templates/passwords.yaml is a link" in capsys.readouterr().err
    assert run("lint", "mine/portal") is ExitCode.POLICY
    shown = capsys.readouterr().out
    assert "passwords.yaml: high: chart-files: Chart portal: templates/passwords.yaml: is a link" in shown


def test_mirror_without_mirrors_names_the_remedy(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("mirror", "--estate", str(estate)) is ExitCode.USAGE
    assert "spec.registry.mirrors" in capsys.readouterr().err
    assert run("mirror", "--to", "https://x", "--estate", str(estate)) is ExitCode.USAGE
    assert "is not a registry" in capsys.readouterr().err
    assert run("mirror", "potral", "--to", "127.0.0.1:9", "--estate", str(estate)) is ExitCode.NOT_FOUND
    assert "has no digest in" in capsys.readouterr().err


def test_a_registry_that_does_not_answer_is_no_finding(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # By default it would be where another estate's embedded platform may have its own.
    write_endpoints(claimed_endpoints(), files=embedded_files(estate))
    for arguments in (("verify",), ("mirror", "--to", "127.0.0.1:9")):
        assert run(*arguments, "--estate", str(estate)) is ExitCode.FAILED
        assert "does not answer" in capsys.readouterr().err
