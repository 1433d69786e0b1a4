"""Which template a cooperative was applied with: what another version changes is told, and nothing else."""

from pathlib import Path

import pytest

from provisioner.datastore.records import FileRecords
from provisioner.descriptor.cooperative import Cooperative
from provisioner.errors import CoopctlError
from provisioner.operations.template_state import note_template, template_notes
from tests.unit.descriptor.worlds import COOPERATIVE, TEMPLATE, World, world

STORAGE = '\n          postgres: {{connectionLimit: {limit}, storage: "{{{{ 5 + members }}}}Gi"}}'
OWN = COOPERATIVE.replace("template: manufacturing", "template: own")


class Applied:
    """The cooperative `rice`, applied with the template `own` 1.2.3."""

    def __init__(self, folder: Path) -> None:
        self.world: World = world(folder, {"rice": OWN})
        self.records = FileRecords(root=folder / "records")
        self.template()
        note_template(self.records, self.cooperative())

    def template(self, *, version: str = "1.2.3", limit: int = 20) -> None:
        """Write the template."""
        text = TEMPLATE.replace("1.2.3", version)
        text = text.replace("\n          postgres: {connectionLimit: 20}", STORAGE.format(limit=limit))
        self.world.write("tenant_templates/own/template.yaml", text)

    def describe(self, text: str) -> None:
        """Write the descriptor."""
        self.world.write("cooperatives/rice.yaml", text)

    def cooperative(self) -> Cooperative:
        """What the documents say now."""
        (resolved,) = self.world.check().resolved
        assert resolved.cooperative is not None, resolved.problems
        return resolved.cooperative

    def notes(self) -> tuple[str, ...]:
        """What a plan says of the template."""
        return template_notes(self.records, self.cooperative())


@pytest.fixture
def applied(tmp_path: Path) -> Applied:
    return Applied(tmp_path)


def test_a_newer_version_is_told_with_what_it_changes(applied: Applied) -> None:
    assert applied.notes() == ()
    applied.template(version="1.3.0", limit=30)
    changed = "spec.dataStore.postgres.connectionLimit: 20 -> 30"
    assert applied.notes() == (f"the template own 1.2.3 -> 1.3.0 changes {changed}",)
    note_template(applied.records, applied.cooperative())
    assert applied.notes() == ()


def test_a_newer_version_that_changes_nothing_of_this_cooperative_says_so(applied: Applied) -> None:
    applied.template(version="1.3.0")
    assert applied.notes() == ("the template own 1.2.3 -> 1.3.0 changes nothing here",)


def test_a_template_that_was_changed_under_its_version_is_told_too(applied: Applied) -> None:
    applied.template(limit=30)
    assert applied.notes()[0].startswith("the template own 1.2.3, or one below it, changes spec.dataStore")


@pytest.mark.parametrize(
    "descriptor",
    [
        OWN.replace("employees: 8}", "employees: 8}, {id: m-2, name: 둘, employees: 3}"),
        f"{OWN}  dataStore: {{postgres: {{connectionLimit: 44}}}}\n",
        COOPERATIVE,
    ],
)
def test_what_the_descriptor_changes_is_no_other_template(applied: Applied, descriptor: str) -> None:
    applied.describe(descriptor)
    assert applied.notes() == ()


def test_a_damaged_record_is_named(applied: Applied) -> None:
    applied.records.write("templates/rice.json", b"[]")
    with pytest.raises(CoopctlError, match=r"templates/rice\.json beside the state is damaged"):
        applied.notes()
