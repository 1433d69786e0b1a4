"""The ownership mark that databases, roles, buckets and identities bear: whose they are.

In PostgreSQL it is the COMMENT (JSON), in S3 and IAM two tags. What bears another mark, or none, is never adopted,
changed or deleted: a name alone proves nothing. ``retained`` says that the cooperative was destroyed and its data kept;
``dump`` names the final dump that was begun when the thing was closed. Opening it again takes both away, so that what
bears a dump's name holds nothing that the dump, once complete, does not hold.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from provisioner.errors import NotOurs
from provisioner.naming import API_GROUP, ClusterId, CooperativeUid

TAG_OWNER = f"{API_GROUP}/owner"
TAG_RETAINED = f"{API_GROUP}/retained"
TAG_DUMP = f"{API_GROUP}/dump"
_COMMENT_KEY = API_GROUP


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Whose a thing is: the platform's id and the cooperative's uid on it."""

    cluster: ClusterId
    cooperative: CooperativeUid
    retained: bool = False
    dump: str = ""

    def owns(self, other: "Mark | None") -> bool:
        """Whether ``other`` is the same owner's mark, whatever became of the thing."""
        return other is not None and replace(other, retained=self.retained, dump=self.dump) == self

    def __str__(self) -> str:
        return f"{self.cluster}/{self.cooperative}"


class Fate(StrEnum):
    """What became of a thing that was to be deleted."""

    ABSENT = "absent"
    DROPPED = "dropped"
    RETAINED = "retained"


def to_comment(mark: Mark) -> str:
    """The mark as the text of a COMMENT."""
    content: dict[str, object] = {"cluster": mark.cluster, "cooperative": mark.cooperative}
    if mark.retained:
        content["retained"] = True
    if mark.dump:
        content["dump"] = mark.dump
    return json.dumps({_COMMENT_KEY: content}, separators=(",", ":"))


def from_comment(text: str | None) -> Mark | None:
    """The mark in a COMMENT, or None where the text is not one."""
    try:
        content = json.loads(text or "null")
    except ValueError:
        return None
    fields = content.get(_COMMENT_KEY) if isinstance(content, dict) else None
    if not isinstance(fields, dict):
        return None
    cluster, cooperative, dump = fields.get("cluster"), fields.get("cooperative"), fields.get("dump", "")
    if not isinstance(cluster, str) or not isinstance(cooperative, str):
        return None
    return Mark(
        cluster=ClusterId(cluster),
        cooperative=CooperativeUid(cooperative),
        retained=fields.get("retained") is True,
        dump=dump if isinstance(dump, str) else "",
    )


def to_tags(mark: Mark) -> dict[str, str]:
    """The mark as tags."""
    retained = {TAG_RETAINED: "true"} if mark.retained else {}
    return {TAG_OWNER: str(mark)} | retained | ({TAG_DUMP: mark.dump} if mark.dump else {})


def from_tags(tags: Mapping[str, str]) -> Mark | None:
    """The mark in tags, or None where there is none."""
    cluster, _, cooperative = tags.get(TAG_OWNER, "").partition("/")
    if not cluster or not cooperative:
        return None
    return Mark(
        cluster=ClusterId(cluster),
        cooperative=CooperativeUid(cooperative),
        retained=tags.get(TAG_RETAINED) == "true",
        dump=tags.get(TAG_DUMP, ""),
    )


def require_own(found: Mark | None, *, own: Mark, what: str) -> None:
    """Raise NotOurs unless ``found``, the mark of ``what``, is of the same owner as ``own``."""
    if own.owns(found):
        return
    if found is None:
        raise NotOurs(f"{what} exists already and bears no mark of coopctl", why="only what coopctl made is adopted")
    raise NotOurs(
        f"{what} exists already and belongs to {found}", why=f"this cooperative is {own}; a mark is never taken over"
    )
