"""The estate of laboratories: valid with the shipped catalogue, and a place for whom members' schemas suit."""

from provisioner.catalogue import load_catalogue
from provisioner.descriptor.cooperative import MemberLayout
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_estate
from provisioner.operations.validating import validate
from provisioner.rules.excepting import known_rules
from tests.unit.plan.builders import CHARTS, ROOT

ESTATE = Estate(root=ROOT / "examples" / "laboratories")


def test_the_laboratories_are_valid_and_their_members_have_schemas() -> None:
    catalogue = load_catalogue(CHARTS)
    assert validate(ESTATE, catalogue=catalogue, names=None, rules=known_rules()).problems == ()
    _, [calibration] = load_estate(ESTATE, catalogue_names=catalogue.names)
    assert calibration.postgres.member_layout is MemberLayout.SCHEMA
    assert [one.name for one in calibration.solutions] == ["portal", "member-files"]
    assert len(calibration.members) == 24
