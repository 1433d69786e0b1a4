"""What no field can say alone: order, references, networks, names and domains that meet."""

from pathlib import Path

import pytest

from provisioner.descriptor.loading import load_estate
from provisioner.errors import InvalidDescriptor
from tests.unit.descriptor.worlds import COOPERATIVE, PLATFORM, changed, with_spec, world

NETWORK = "network: {domain: rice.example.kr}"


def _messages(tmp_path: Path, text: str) -> list[str]:
    return [problem.removeprefix("cooperatives/rice.yaml:") for problem in world(tmp_path, {"rice": text}).problems()]


def _named(name: str, domain: str | None = None) -> str:
    return COOPERATIVE.replace("name: rice,", f"name: {name},").replace(
        "rice.example.kr", domain or f"{name}.example.kr"
    )


@pytest.mark.parametrize(
    ("cidr", "said"),
    [
        ("0.0.0.0/0", "0.0.0.0/0 is the whole internet"),
        ("::/0", "::/0 is the whole internet"),
        ("0.0.0.0/1", "reaches loopback addresses"),
        ("128.0.0.0/1", "reaches link-local addresses, which hold the machines' credentials"),
        ("169.254.169.254/32", "reaches link-local addresses"),
        ("fd00:ec2::/32", "reaches the machines' metadata service"),
        ("10.244.0.0/24", "reaches the platform itself"),
        ("10.0.0.0/8", "reaches the platform itself"),
        ("10.96.0.1/32", "reaches the platform itself"),
        ("127.0.0.1/32", "reaches loopback addresses"),
        ("224.0.0.0/8", "reaches multicast addresses"),
        ("0.0.0.0/32", "reaches addresses of this host"),
        ("255.255.255.255/32", "reaches reserved addresses"),
        ("::ffff:169.254.169.254/128", "reaches IPv4 addresses in the form of IPv6"),
        ("::ffff:203.0.113.0/120", "reaches IPv4 addresses in the form of IPv6"),
        ("::a9fe:a9fe/128", "reaches IPv4 addresses in the form of IPv6"),
        ("64:ff9b::a9fe:a9fe/128", "reaches IPv4 addresses in the form of IPv6"),
        ("2002:a9fe:a9fe::/48", "reaches IPv4 addresses in the form of IPv6"),
    ],
)
def test_egress_never_opens_a_way_around_isolation(tmp_path: Path, cidr: str, said: str) -> None:
    flow = f"egress: [{{cidr: '{cidr}', ports: [443], why: test}}]"
    (problem,) = _messages(tmp_path, changed(NETWORK, f"network: {{domain: rice.example.kr, {flow}}}"))
    assert problem.startswith("10:54: spec.network.egress[0].cidr:")
    assert said in problem


def test_egress_to_the_outside_is_allowed(tmp_path: Path) -> None:
    flow = "egress: [{cidr: 203.0.113.0/24, ports: [443], why: tax}, {cidr: '2001:db8::/32', ports: [443], why: tax}]"
    assert _messages(tmp_path, changed(NETWORK, f"network: {{domain: rice.example.kr, {flow}}}")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            changed("end: 2017-05-31", "end: 2014-05-31"),
            "8:37: spec.support.end: 2014-05-31 is before the start, 2014-06-01",
        ),
        (changed("name: rice,", "name: corn,"), "3:18: metadata.name: is 'corn', but the file is called 'rice.yaml'"),
        (
            changed("rice.example.kr", "rice.example.org"),
            "10:21: spec.network.domain: rice.example.org is not below a domain suffix of the platform (example.kr)",
        ),
        (
            changed("rice.example.kr", "example.kr"),
            "10:21: spec.network.domain: example.kr is not below a domain suffix",
        ),
        (
            with_spec("dataStore: {postgres: {isolation: dedicated}}"),
            "12:37: spec.dataStore.postgres.isolation: dedicated servers are not offered yet",
        ),
        (
            with_spec("dataStore: {postgres: {extensions: [dblink]}}"),
            "12:39: spec.dataStore.postgres.extensions[0]: the platform does not allow the extension 'dblink'",
        ),
        (
            changed("{name: portal}", "{name: portal, integrates: [ledger]}"),
            "11:43: spec.solutions[0].integrates[0]: 'ledger' is not among the chosen solutions",
        ),
        (
            changed("{name: portal}", "{name: portal}, {name: portal}"),
            "11:38: spec.solutions[1].name: chooses 'portal' twice",
        ),
        (
            changed("{name: portal}", "{name: portal, values: {on: {a: no}}}"),
            "11:47: spec.solutions[0].values.on.a: 'no' means true or false to some readers",
        ),
        (
            with_spec("access: {operators: [{user: a, group: b}]}"),
            "12:24: spec.access.operators[0]: must have exactly one of user and group",
        ),
        (
            with_spec("access: {operators: [{group: 'system:masters'}]}"),
            "12:24: spec.access.operators[0]: 'system:masters' is one of Kubernetes' own subjects",
        ),
        (
            with_spec("resources: {apps: {cpu: {requests: 9, limits: 8}}}"),
            "12:38: spec.resources.apps.cpu.requests: is more than its limits",
        ),
        (
            with_spec("resources: {apps: {counts: {pods: 1}}}"),
            "12:37: spec.resources.apps.counts.pods: is 1; at least 4 are needed",
        ),
        (
            with_spec("resources: {containers: {max: {memory: 64Gi}}}"),
            "12:42: spec.resources.containers.max.memory: is more than the whole apps namespace may use",
        ),
        (
            with_spec("resources: {containers: {default: {cpu: 2}}}"),
            "spec.resources.containers.maxLimitRequestRatio.cpu: is 10, but the default limit is 40.0 times",
        ),
    ],
)
def test_a_contradiction_is_told_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in problem for problem in _messages(tmp_path, text)), _messages(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("platform", "'platform' is reserved"),
        ("kube-rice", "begins with 'kube-', which is reserved"),
        ("Rice", "must be lower-case letters"),
        ("x" * 41, "is 41 characters long; 40 are the most"),
        ("rice-", "not end with a hyphen"),
    ],
)
def test_a_name_that_cannot_be_derived_from_is_refused(tmp_path: Path, name: str, said: str) -> None:
    made = world(tmp_path, {name: _named(name, "rice.example.kr")})
    assert any(said in problem for problem in made.problems())


@pytest.mark.parametrize("other", ["rice-apps", "rice-data", "rice-owner", "rice-app", "rice-migration"])
def test_a_name_that_is_derived_from_anothers_is_refused(tmp_path: Path, other: str) -> None:
    (problem,) = world(tmp_path, {"rice": COOPERATIVE, other: _named(other)}).problems()
    assert problem.startswith(f"cooperatives/{other}.yaml:3:18: metadata.name: '{other}' would meet 'rice'")


def test_two_cooperatives_share_no_domain(tmp_path: Path) -> None:
    made = world(tmp_path, {"gas": _named("gas", "rice.example.kr"), "rice": COOPERATIVE})
    (problem,) = made.problems()
    assert problem.startswith(
        "cooperatives/rice.yaml:10:21: spec.network.domain: rice.example.kr is also the domain of gas"
    )


def test_no_domain_lies_below_anothers(tmp_path: Path) -> None:
    made = world(tmp_path, {"gas": _named("gas", "gas.rice.example.kr"), "rice": COOPERATIVE})
    (problem,) = made.problems()
    assert problem.startswith("cooperatives/gas.yaml:10:21:")
    assert "gas.rice.example.kr lies below the domain of rice, rice.example.kr" in problem


@pytest.mark.parametrize("named", ["gas", "gas-data"])
def test_a_name_that_meets_anothers_is_refused_whichever_of_the_two_is_asked_for(tmp_path: Path, named: str) -> None:
    made = world(tmp_path, {name: _named(name) for name in ("gas", "gas-data", "rice")})
    with pytest.raises(InvalidDescriptor) as refused:
        load_estate(made.estate, names=(named,))
    assert {problem.location.file.stem for problem in refused.value.diagnostics} == {named}
    other = {"gas": "gas-data", "gas-data": "gas"}[named]
    assert f"{named!r} would meet {other!r}" in refused.value.diagnostics[0].message
    load_estate(made.estate, names=("rice",))


@pytest.mark.parametrize("named", ["earlier", "later"])
def test_one_domain_of_two_is_refused_whichever_of_them_is_asked_for(tmp_path: Path, named: str) -> None:
    domain = "both.example.kr"
    made = world(tmp_path, {name: _named(name, domain) for name in ("earlier", "later")} | {"rice": COOPERATIVE})
    with pytest.raises(InvalidDescriptor, match="1 problem in 1 file") as refused:
        load_estate(made.estate, names=(named,))
    (problem,) = refused.value.diagnostics
    other = {"earlier": "later", "later": "earlier"}[named]
    assert (problem.location.file.stem, problem.location.line) == (named, 10)
    assert problem.message == f"{domain} is also the domain of {other}"
    load_estate(made.estate, names=("rice",))


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("above", "a.example.kr lies above the domain of below, b.a.example.kr"),
        ("below", "b.a.example.kr lies below the domain of above, a.example.kr"),
    ],
)
def test_a_domain_below_anothers_is_refused_whichever_of_them_is_asked_for(
    tmp_path: Path, named: str, said: str
) -> None:
    cooperatives = {"above": _named("above", "a.example.kr"), "below": _named("below", "b.a.example.kr")}
    with pytest.raises(InvalidDescriptor) as refused:
        load_estate(world(tmp_path, cooperatives).estate, names=(named,))
    assert [problem.message for problem in refused.value.diagnostics] == [said]


def test_a_document_with_other_problems_keeps_its_name_and_domain(tmp_path: Path) -> None:
    broken = _named("gas", "rice.example.kr").replace("sector: food", "sector: ''")
    made = world(tmp_path, {"gas": broken, "rice": COOPERATIVE, "rice-data": "kind: [", "tea": _named("tea")})
    with pytest.raises(InvalidDescriptor) as refused:
        load_estate(made.estate, names=("rice",))
    said = [problem.message for problem in refused.value.diagnostics]
    assert any("'rice' would meet 'rice-data'" in message for message in said)
    assert "rice.example.kr is also the domain of gas" in said
    load_estate(made.estate, names=("tea",))


def test_a_domain_that_only_ends_like_another_is_allowed(tmp_path: Path) -> None:
    made = world(tmp_path, {"gas": _named("gas", "price.example.kr"), "rice": COOPERATIVE})
    assert made.problems() == []


def test_without_a_catalogue_solutions_are_not_looked_up(tmp_path: Path) -> None:
    made = world(tmp_path, {"rice": changed("{name: portal}", "{name: unheard-of}")})
    assert made.check(catalogue_names=None).problems == ()


def test_a_broken_platform_does_not_hide_the_cooperatives_problems(tmp_path: Path) -> None:
    made = world(tmp_path, {"rice": with_spec("colour: red")}, platform=PLATFORM.replace("id: test", "id: TEST"))
    assert [problem.split(":")[0] for problem in made.problems()] == ["platform.yaml", "cooperatives/rice.yaml"]
