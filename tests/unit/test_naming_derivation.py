"""Derived names fit their limits and never meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import naming
from provisioner.errors import UsageError
from provisioner.naming import ClusterId, CooperativeName

CLUSTER = ClusterId("c" * naming.CLUSTER_ID_MAX)
names = st.from_regex(naming.NAME_PATTERN, fullmatch=True).filter(lambda name: naming.name_problem(name) is None)

ids = st.from_regex(naming.MEMBER_ID_PATTERN, fullmatch=True)


def _derived(name: str) -> naming.TenantNames:
    return naming.tenant_names(CooperativeName(name), cluster=CLUSTER)


def test_the_longest_name_fits_every_limit_of_63_bytes() -> None:
    derived = _derived("a" * naming.NAME_MAX)
    in_bytes = [derived.apps_namespace, derived.data_namespace, derived.database, *derived.roles, derived.bucket]
    assert max(len(name.encode()) for name in in_bytes) <= 63


@given(first=names, second=names)
def test_two_cooperatives_share_no_derived_name_of_one_kind(first: str, second: str) -> None:
    one, other = _derived(first), _derived(second)
    if first == second:
        assert one == other
        return
    assert one.uid != other.uid
    assert one.database != other.database
    assert one.bucket != other.bucket
    assert not {one.apps_namespace, one.data_namespace} & {other.apps_namespace, other.data_namespace}
    assert not set(one.roles) & set(other.roles)


@pytest.mark.parametrize(
    ("name", "part_of_problem"),
    [
        ("platform", "reserved"),
        ("kube-system", "kube-"),
        ("Rice", "lower-case"),
        ("쌀가공", "lower-case"),
        ("rice_processing", "lower-case"),
        ("rice-", "hyphen"),
        ("9rice", "begin with a letter"),
        ("", "lower-case"),
        ("a" * (naming.NAME_MAX + 1), "40 are the most"),
        ("rice-member", "as a word"),
        ("rice-member-one", "as a word"),
        ("rice-s3alias", "ends with '-s3alias', which S3 reserves"),
        ("s3alias", "ends with '-s3alias', which S3 reserves"),
        ("rice--x-s3", "ends with '--x-s3'"),
    ],
)
def test_names_that_cannot_be_used_are_refused_with_the_reason(name: str, part_of_problem: str) -> None:
    assert part_of_problem in (naming.name_problem(name) or "")


@given(cooperatives=st.lists(names, min_size=2, max_size=2, unique=True), members=st.lists(ids, unique=True))
def test_a_member_s_role_is_nobody_else_s(cooperatives: list[str], members: list[str]) -> None:
    roles = [role for name in cooperatives for role in _derived(name).roles]
    schemas = []
    for name in cooperatives:
        found = naming.all_member_names(members, database=_derived(name).database)
        roles += [one.role for one in found.values()]
        schemas.append([one.schema for one in found.values()])
    assert len(roles) == len(set(roles))
    assert max(map(len, roles)) <= naming.IDENTIFIER_MAX_BYTES
    assert schemas[0] == schemas[1]
    assert [naming.member_of_schema(schema) for schema in schemas[0]] == members
    assert all(naming.is_member_role(role) for role in roles[8:])
    assert not any(naming.is_member_role(role) for role in roles[:8])


def test_names_that_only_contain_the_word_are_free() -> None:
    assert naming.name_problem("rice-members") is None
    assert naming.name_problem("member-rice") is None


@pytest.mark.parametrize("cluster", ["sthree", "sthree-x", "xn--rice", "amzn-s3-demo-1"])
def test_platform_ids_that_s3_reserves_in_buckets_are_refused(cluster: str) -> None:
    assert "which S3 reserves" in (naming.cluster_id_problem(cluster) or "")
    assert naming.cluster_id_problem("sthreex") is None


def test_two_members_that_would_share_a_role_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "_MEMBER_DIGEST", 1)
    many = [f"{'x' * 36}{number:04}" for number in range(17)]
    with pytest.raises(UsageError, match="would both have the database role"):
        naming.all_member_names(many, database="c" * 40)


def test_one_name_on_two_platforms_has_two_marks() -> None:
    name = CooperativeName("plastics")
    assert naming.cooperative_uid(name, cluster=ClusterId("a")) != naming.cooperative_uid(name, cluster=ClusterId("b"))


@given(name=names)
def test_a_cluster_of_its_own_has_an_id_that_is_valid_and_always_the_same(name: str) -> None:
    made = naming.own_cluster_id(CooperativeName(name), cluster=CLUSTER)
    assert naming.NAME_PATTERN.fullmatch(made)
    assert naming.cluster_id_problem(made) is None
    assert made == naming.own_cluster_id(CooperativeName(name), cluster=CLUSTER)
    assert made != naming.own_cluster_id(CooperativeName(name), cluster=ClusterId("another"))
