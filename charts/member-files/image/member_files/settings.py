"""What the chart's values say, as the pod's environment has it. How the database is reached, libpq reads by itself."""

from collections.abc import Mapping
from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The most bytes of a document and of all documents of a member, and after how many seconds a session ends."""

    document_bytes: int
    member_bytes: int
    session_seconds: int
    office: str


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings; raises KeyError for one that is missing, ValueError for one that is no number."""
    return Settings(
        document_bytes=int(environment["MEMBER_FILES_DOCUMENT_MEBIBYTES"]) * MEBIBYTE,
        member_bytes=int(environment["MEMBER_FILES_MEMBER_MEBIBYTES"]) * MEBIBYTE,
        session_seconds=int(environment["MEMBER_FILES_SESSION_SECONDS"]),
        office=environment["MEMBER_FILES_OFFICE"],
    )
