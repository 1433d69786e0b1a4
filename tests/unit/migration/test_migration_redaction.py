"""No credential is written down: neither one that is known nor one that only looks like it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.datastore.credentials import Secret
from provisioner.migration.redaction import Json, mapping_without_credentials, without_credentials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://rice:geheim@db.kr/rice", "postgres://rice:***@db.kr/rice"),
        ("postgres://rice:ge@heim@db.kr/rice", "postgres://rice:***@db.kr/rice"),
        ("host=db password=geheim user=rice", "host=db password=*** user=rice"),
        ("host=db password='ge \\' heim' user=rice", "host=db password=*** user=rice"),
        ('{"aws_secret_access_key": "geheim"}', '{"aws_secret_access_key": ***}'),
        ("PGPASSWORD=geheim psql", "PGPASSWORD=*** psql"),
        ("the password is wrong", "the password is wrong"),
        ("https://s3.rice.kr/rice", "https://s3.rice.kr/rice"),
    ],
)
def test_what_looks_like_a_password_is_hidden(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


def test_a_name_that_says_so_hides_its_text_and_nothing_else() -> None:
    content: dict[str, Json] = {"password": "geheim", "dsn": "x", "tables": 3, "passwordRotated": True, "lag": "1 MB"}
    assert mapping_without_credentials(content) == {
        "password": "***",
        "dsn": "***",
        "tables": 3,
        "passwordRotated": True,
        "lag": "1 MB",
    }


WORDS = st.text(alphabet="abcXYZ019+/ ,", max_size=20)


@settings(deadline=None)
@given(secret=st.text(alphabet="abcXYZ019+/", min_size=4, max_size=30), before=WORDS, after=WORDS)
def test_a_known_secret_is_found_wherever_it_stands(secret: str, before: str, after: str) -> None:
    content: Json = {"found": [before + secret + after, {before + secret: secret}]}
    assert secret not in repr(without_credentials(content, secrets=(Secret(secret),)))


def test_of_two_secrets_the_longer_one_is_hidden_whole() -> None:
    secrets = (Secret("abcdef"), Secret("abcdefghij"))
    assert without_credentials("is abcdefghij", secrets=secrets) == "is ***"
