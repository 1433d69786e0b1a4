"""Pure: takes credentials out of what is written down for good.

Two nets, since an error's text may quote what nobody foresaw: the secrets in use are replaced wherever they stand, and
so is what looks like a password in a connection string or under a name that says so.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from provisioner.datastore.credentials import Secret

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

HIDDEN = "***"
# RFC 3986, section 3.2.1: user information ends at the last @ before the path.
_IN_URL = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:)[^\s/]+(?=@)")
# libpq, "Connection Strings", keyword/value form; and the same words in other texts.
_IN_TEXT = re.compile(
    r"(?P<before>\b\w*(?:password|passwd|secret|token)\w*['\"]?\s*[=:]\s*)(?:'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s,;&}]+)",
    re.IGNORECASE,
)
_NAMES = re.compile(r"password|passwd|secret|token|credential|dsn|access_?key", re.IGNORECASE)


def without_credentials(value: Json, *, secrets: Iterable[Secret] = ()) -> Json:
    """``value`` with every secret replaced by ``***``: those of ``secrets``, and what is one by its look or name."""
    return _cleaned(value, _known(secrets))


def mapping_without_credentials(content: Mapping[str, Json], *, secrets: Iterable[Secret] = ()) -> dict[str, Json]:
    """As without_credentials, for a mapping."""
    known = _known(secrets)
    return {_text(name, known): _named(name, value, known) for name, value in content.items()}


def _known(secrets: Iterable[Secret]) -> list[str]:
    # The longest first: a secret may be part of another.
    return sorted({one.reveal() for one in secrets if one.reveal()}, key=len, reverse=True)


def _cleaned(value: Json, known: list[str]) -> Json:
    if isinstance(value, str):
        return _text(value, known)
    if isinstance(value, list):
        return [_cleaned(item, known) for item in value]
    if isinstance(value, dict):
        return {_text(name, known): _named(name, item, known) for name, item in value.items()}
    return value


def _named(name: str, value: Json, known: list[str]) -> Json:
    return HIDDEN if isinstance(value, str) and _NAMES.search(name) else _cleaned(value, known)


def _text(text: str, known: list[str]) -> str:
    for secret in known:
        text = text.replace(secret, HIDDEN)
    return _IN_TEXT.sub(rf"\g<before>{HIDDEN}", _IN_URL.sub(rf"\g<before>{HIDDEN}", text))
