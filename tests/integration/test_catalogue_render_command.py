"""`coopctl render` and `coopctl images list` on the pilot estate: nothing but files is needed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cli.main import run
from provisioner.catalogue import images_lock
from provisioner.errors import ExitCode
from tests.unit.plan import builders
from tests.unit.plan.pilots import PILOT


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """A copy of the pilot estate with a lock, at a path with a space and Hangul."""
    folder = tmp_path / "조합 estate"
    shutil.copytree(PILOT.root, folder, ignore=shutil.ignore_patterns(".coopctl", "images.lock"))
    images_lock.write(replace(builders.fake_lock(), source=folder / "images.lock"))
    return folder


def test_render_prints_manifests_that_kubectl_could_read(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "rice-processing", "--estate", str(estate)]) is ExitCode.DONE
    shown = capsys.readouterr().out
    documents = list(yaml.safe_load_all(shown))
    kinds = {document["kind"] for document in documents}
    assert {"Namespace", "ResourceQuota", "NetworkPolicy", "Secret", "Deployment", "PostgresDatabase"} <= kinds
    assert "(generated)" in shown
    assert "<h1>한국쌀가공식품협회</h1>" in shown


def test_render_as_json_is_one_document(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "lp-gas", "--estate", str(estate), "--format", "json"]) is ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["cooperative"]) == ("Manifests", "lp-gas")
    assert len(document["items"]) > 30


def test_rendering_twice_gives_the_same_bytes(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["render", "plastics", "--estate", str(estate)])
    first = capsys.readouterr().out
    run(["render", "plastics", "--estate", str(estate)])
    assert capsys.readouterr().out == first


def test_an_unknown_cooperative_is_not_found(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "rice-procesing", "--estate", str(estate)]) is ExitCode.NOT_FOUND
    assert "rice-processing" in capsys.readouterr().err


def test_without_a_lock_the_remedy_is_told(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (estate / "images.lock").unlink()
    assert run(["render", "plastics", "--estate", str(estate)]) is ExitCode.NOT_FOUND
    assert "coopctl images build" in capsys.readouterr().err


def test_another_lock_may_be_given(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = estate / "other.lock"
    (estate / "images.lock").rename(other)
    assert run(["render", "plastics", "--estate", str(estate), "--images-lock", str(other)]) is ExitCode.DONE
    assert builders.FAKE_DIGEST in capsys.readouterr().out


def test_images_are_listed_with_their_locked_digest(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["images", "list", "--estate", str(estate), "--output", "json"]) is ExitCode.DONE
    images = {image["name"]: image["digest"] for image in json.loads(capsys.readouterr().out)["images"]}
    assert images["portal"] == builders.FAKE_DIGEST
