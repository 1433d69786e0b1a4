"""A fingerprint changes with all that a stack's program is made of."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engine.fingerprint import AppliedRecord, fingerprint, read_record, write_record
from provisioner.engine.home import assemble_home, kubernetes_plugin
from provisioner.naming import ClusterId, CooperativeName, CooperativeUid
from provisioner.plan.resources import CooperativePlan, KubernetesObject, SolutionChart

SURROUNDINGS = {"coopctl": "1", "cluster": "c"}


def plan_with(chart: Path, *, values: dict[str, object]) -> CooperativePlan:
    """A plan with one object and one chart."""
    return CooperativePlan(
        cooperative=CooperativeName("rice"),
        uid=CooperativeUid("u"),
        cluster=ClusterId("c"),
        domain="rice.example.kr",
        resources=(
            KubernetesObject(key="ns", manifest={"kind": "Namespace", "metadata": {"name": "rice-apps"}}),
            SolutionChart(
                key="portal",
                release="portal",
                solution="portal",
                version="1",
                chart=chart,
                namespace="n",
                values=values,
            ),
        ),
    )


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart's folder."""
    folder = tmp_path / "portal"
    folder.mkdir()
    (folder / "Chart.yaml").write_text("name: portal\n")
    return folder


def test_the_same_plan_has_the_same_fingerprint(chart: Path) -> None:
    first = fingerprint(plan_with(chart, values={"a": 1, "b": 2}), surroundings=SURROUNDINGS)
    second = fingerprint(plan_with(chart, values={"b": 2, "a": 1}), surroundings=SURROUNDINGS)

    assert first == second


def test_what_an_interpreter_keeps_beside_a_program_of_an_image_changes_nothing(chart: Path) -> None:
    plan = plan_with(chart, values={})
    before = fingerprint(plan, surroundings=SURROUNDINGS)
    (chart / "image" / "__pycache__").mkdir(parents=True)
    (chart / "image" / "__pycache__" / "server.cpython-311.pyc").write_bytes(b"cached")

    assert fingerprint(plan, surroundings=SURROUNDINGS) == before


def test_values_charts_and_surroundings_change_it(chart: Path) -> None:
    plan = plan_with(chart, values={"a": 1})
    found = {fingerprint(plan, surroundings=SURROUNDINGS)}
    found.add(fingerprint(plan_with(chart, values={"a": 2}), surroundings=SURROUNDINGS))
    found.add(fingerprint(replace(plan, domain="other.example.kr"), surroundings=SURROUNDINGS))
    found.add(fingerprint(plan, surroundings={**SURROUNDINGS, "coopctl": "2"}))
    (chart / "templates").mkdir()
    (chart / "templates" / "page.yaml").write_text("kind: ConfigMap\n")
    found.add(fingerprint(plan, surroundings=SURROUNDINGS))

    assert len(found) == 5


def test_what_was_applied_is_kept_and_a_damaged_record_is_none(tmp_path: Path) -> None:
    record = AppliedRecord(fingerprint="f", state="s")
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record

    (tmp_path / "applied.json").write_text("{")
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "missing") is None


def test_every_set_of_plugins_has_a_home_of_its_own(tmp_path: Path) -> None:
    program = tmp_path / "provider"
    program.write_text("x")
    one = assemble_home(tmp_path, plugins={kubernetes_plugin(): program, "resource-coopctl-v1": "#!/bin/sh\n"})
    again = assemble_home(tmp_path, plugins={"resource-coopctl-v1": "#!/bin/sh\n", kubernetes_plugin(): program})
    other = assemble_home(tmp_path, plugins={kubernetes_plugin(): program, "resource-coopctl-v1": "#!/bin/sh\n#\n"})

    script = one / "plugins" / "resource-coopctl-v1" / "pulumi-resource-coopctl"
    assert one == again != other
    assert (one / "plugins" / kubernetes_plugin() / "pulumi-resource-kubernetes").resolve() == program
    assert script.stat().st_mode & 0o111
