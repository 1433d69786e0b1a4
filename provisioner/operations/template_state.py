"""Which version of its template a cooperative was applied with, kept beside the state with what that version decided.

So a plan can say that a newer template would change a tenant, and in what, apart from what its descriptor changes.
Compared is what the template, or the default below it, says of values that the descriptor left to it then and now: a
number that an expression gives for more members is no other template's. A cooperative that chose another template or
size is not compared: that is the descriptor's change.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from provisioner.datastore.records import Records
from provisioner.descriptor.cooperative import Cooperative, OriginKind
from provisioner.errors import CoopctlError

FOLDER = "templates"
_SHOWN = 5


class Setting(NamedTuple):
    """What a template says of a value (its text or expression), and what that came to."""

    said: str
    value: str


@dataclass(frozen=True, kw_only=True)
class AppliedTemplate:
    """The template that a cooperative was applied with, and its settings by path: those that it decided."""

    name: str
    version: str
    size: str
    settings: Mapping[str, Setting]


def applied_template(cooperative: Cooperative) -> AppliedTemplate:
    """The template of ``cooperative`` with what it decides."""
    settings = {
        path: Setting(said=origin.expression or origin.text, value=origin.text)
        for path, origin in cooperative.origins.items()
        if origin.kind is not OriginKind.DESCRIPTOR
    }
    return AppliedTemplate(
        name=cooperative.template,
        version=cooperative.template_version,
        size=cooperative.size,
        settings=settings,
    )


def note_template(records: Records, cooperative: Cooperative) -> None:
    """Keep which template ``cooperative`` was applied with. Raises CoopctlError if that cannot be written."""
    now = applied_template(cooperative)
    if _read(records, str(cooperative.name)) != now:
        records.write(_path(str(cooperative.name)), json.dumps(asdict(now), ensure_ascii=False, indent=1).encode())


def template_notes(records: Records, cooperative: Cooperative) -> tuple[str, ...]:
    """What another version of its template would change in ``cooperative``, as a sentence; nothing if it is the same.

    Raises CoopctlError if the record is damaged.
    """
    before, now = _read(records, str(cooperative.name)), applied_template(cooperative)
    if before is None or (before.name, before.size) != (now.name, now.size):
        return ()
    both = sorted({*before.settings} & {*now.settings})
    changed = [path for path in both if before.settings[path].said != now.settings[path].said]
    if before.version == now.version and not changed:
        return ()
    versions = (
        f"{before.version} -> {now.version}" if before.version != now.version else f"{now.version}, or one below it,"
    )
    return (f"the template {now.name} {versions} changes {_told(changed, before=before, now=now)}",)


def _told(changed: list[str], *, before: AppliedTemplate, now: AppliedTemplate) -> str:
    if not changed:
        return "nothing here"
    told = [f"{path}: {before.settings[path].value} -> {now.settings[path].value}" for path in changed[:_SHOWN]]
    more = [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
    return "; ".join([*told, *more])


def _read(records: Records, cooperative: str) -> AppliedTemplate | None:
    content = records.read(_path(cooperative))
    if content is None:
        return None
    try:
        fields = json.loads(content)
        settings = {path: Setting(*said) for path, said in fields.pop("settings").items()}
        return AppliedTemplate(**fields, settings=settings)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CoopctlError(f"the record {_path(cooperative)} beside the state is damaged", why=str(error)) from error


def _path(cooperative: str) -> str:
    return f"{FOLDER}/{cooperative}.json"
