"""The pilot estate: the seven cooperatives with their 1,900 members, valid and as the schema says."""

from typing import Any

import jsonschema
import pytest

from provisioner.descriptor import json_schema, reference
from provisioner.descriptor.checking import plain_data
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.fields import free_value
from provisioner.descriptor.loading import load_estate
from provisioner.descriptor.nodes import compose
from tests.unit.descriptor.worlds import PILOT

ESTATE = Estate(root=PILOT)
CATALOGUE = frozenset({"portal", "ledger", "trade", "lot-tracing", "gas-delivery", "plating-orders"})
FILES = sorted(PILOT.glob("cooperatives/*.yaml"))


def _data(text: str) -> Any:
    root = compose(text, file=PILOT).root
    assert root is not None
    return free_value(plain_data(root))


def test_the_seven_pilots_have_nineteen_hundred_members_of_small_firms() -> None:
    platform, cooperatives = load_estate(ESTATE, catalogue_names=CATALOGUE)
    assert [cooperative.name for cooperative in cooperatives] == [
        "jangrim-plating",
        "lp-gas",
        "marine-equipment",
        "plastics",
        "publishing",
        "rice-processing",
        "water-purifier",
    ]
    sizes = sorted(member.employees for cooperative in cooperatives for member in cooperative.members)
    assert len(sizes) == 1900
    assert sizes[-1] < 50
    assert sizes[950] == 8
    assert 12 <= sum(sizes) / 1900 <= 14
    assert platform.help_desk.phone == "000-0000-0000"


def test_each_pilot_has_the_template_of_its_trade_and_the_solutions_that_it_proposes() -> None:
    for file in FILES:
        spec = _data(file.read_text(encoding="utf-8"))["spec"]
        template = PILOT.parents[1] / "tenant_templates" / spec["template"] / "template.yaml"
        proposing = _data(template.read_text(encoding="utf-8"))["spec"]
        assert [one["name"] for one in spec["solutions"]] == proposing["solutions"], file.stem


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_a_pilot_is_valid_by_the_schema_for_editors(file: Any) -> None:
    data = _data(file.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(json_schema.schema("Cooperative")).validate(data)
    jsonschema.Draft202012Validator(json_schema.schema(None)).validate(data)


def test_the_platform_and_the_templates_are_valid_by_the_schema() -> None:
    platform = _data((PILOT / "platform.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(json_schema.schema("Platform")).validate(platform)
    for file in sorted((PILOT.parents[1] / "tenant_templates").glob("*/template.yaml")):
        template = _data(file.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(json_schema.schema("TenantTemplate")).validate(template)


def test_the_schema_finds_an_unknown_field_and_describes_every_known_one() -> None:
    schema = json_schema.schema("Cooperative")
    jsonschema.Draft202012Validator.check_schema(schema)
    data = _data(FILES[0].read_text(encoding="utf-8"))
    data["spec"]["colour"] = "red"
    assert not jsonschema.Draft202012Validator(schema).is_valid(data)
    for definition in schema["$defs"].values():
        for name, field in definition.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, name


def test_the_reference_lists_every_field_once() -> None:
    text = reference.text()
    assert text.count("| `spec.resources.apps.counts.pods` | number | *inherited* |") == 1
    assert text.count("| `spec.postgres.admin.password.env` |") == 1
    assert text.count("| `spec.sizes.NAME.description` |") == 1
