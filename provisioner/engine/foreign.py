"""What somebody changed on a guard, also where Pulumi does not see it: Pulumi compares only the fields that it owns.

A guard (an object with ``pulumi.com/patchForce``) is to be exactly what the plan says. Two things escape Pulumi:

- A field that the plan does not state: an ``egress`` that somebody adds to a NetworkPolicy opens it. The API server
  knows who owns each field (metadata.managedFields, "Server-Side Apply", FieldsV1): what another manager owns and the
  plan does not state is foreign. Without an owner it is a default of the API server.
- An item in a list: a second subject of a RoleBinding, one more port of a Service. A list that is changed changes its
  owner as a whole (or its new item has one of its own), and is no longer compared. So the stated values are compared
  here: guards state theirs in full, so that the API server gives them back as they were written (a test holds them to
  it).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioner.engine.changes import FieldChange, field_changes, join
from provisioner.engine.paths import look_up, parse
from provisioner.engine.state import is_secret

FIELD_MANAGER = "coopctl"
ANNOTATION_FORCE = "pulumi.com/patchForce"
ANNOTATION_FIELD_MANAGER = "pulumi.com/patchFieldManager"
_APPLY = "Apply"
_UNGUARDED = frozenset({"apiVersion", "kind", "status"})


@dataclass(frozen=True, kw_only=True)
class ForeignFields:
    """A guard on which something differs from what is ``declared``, by its ``live`` state.

    ``owners`` are the fields that differ, each with the field manager that owns it now, "" if none is known.
    """

    live: Mapping[str, Any] = field(repr=False)
    declared: Mapping[str, Any] = field(repr=False)
    owners: Mapping[str, str]

    @property
    def api_version(self) -> str:
        """The object's apiVersion."""
        return str(self.declared.get("apiVersion", ""))

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.declared.get("kind", ""))

    @property
    def name(self) -> str:
        """The object's name."""
        return str((self.declared.get("metadata") or {}).get("name", ""))

    @property
    def namespace(self) -> str:
        """The object's namespace, "" if it is in none."""
        return str((self.declared.get("metadata") or {}).get("namespace", ""))

    @property
    def drift(self) -> tuple[FieldChange, ...]:
        """How the live object differs from what is declared."""
        return self._owned(field_changes(self.owners, before=self.declared, after=self.live))

    @property
    def mending(self) -> tuple[FieldChange, ...]:
        """What brings the live object to what is declared."""
        return self._owned(field_changes(self.owners, before=self.live, after=self.declared))

    @property
    def wanted(self) -> Mapping[str, Any]:
        """What each of the fields is to be, by its path; None for what is to go. Secrets are Pulumi's matter."""
        values = {path: look_up(self.declared, path)[1] for path in self.owners}
        return {path: value for path, value in values.items() if not is_secret(value)}

    def _owned(self, changes: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
        return tuple(
            FieldChange(
                path=change.path,
                before=change.before,
                after=change.after,
                by=self.owners[change.path] or None,
                digest=change.digest,
            )
            for change in changes
        )


def foreign_fields(declared: Mapping[str, Any], *, live: Mapping[str, Any]) -> ForeignFields | None:
    """What differs on the guard ``declared``, by its ``live`` state; None if nothing does, or if it is no guard."""
    if not is_guard(declared) or not live:
        return None
    others = _others(live)
    owners = {path: _owner(path, others) for path in _changed(declared, live, path="")}
    for entry in others:
        for path in _leaves(entry.get("fieldsV1") or {}, path=""):
            if _is_guarded(path) and not _is_stated(declared, path) and look_up(live, path)[0]:
                owners.setdefault(path, str(entry.get("manager", "?")))
    return ForeignFields(live=live, declared=declared, owners=owners) if owners else None


def is_guard(inputs: Mapping[str, Any]) -> bool:
    """Whether an object's inputs say that it wins over other field managers."""
    found, value = look_up(inputs, f'metadata.annotations["{ANNOTATION_FORCE}"]')
    return bool(found and value == "true")


def _changed(declared: Mapping[str, Any], live: Mapping[str, Any], *, path: str) -> Iterator[str]:
    """The stated fields that are no longer so; a list counts as one. Secrets cannot be compared here."""
    for key, value in declared.items():
        below = join(path, key)
        if is_secret(value) or below in _UNGUARDED or key.startswith("__"):
            continue
        found = live.get(key)
        if isinstance(value, Mapping) and isinstance(found, Mapping):
            yield from _changed(value, found, path=below)
        elif value != found and not is_secret(found):
            yield below


def _others(live: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The owners but Pulumi, who applies as our field manager; an update in that name is somebody's, or our mending."""
    entries = (live.get("metadata") or {}).get("managedFields") or []
    return [
        entry
        for entry in entries
        if not entry.get("subresource")
        and (entry.get("manager"), entry.get("operation", _APPLY)) != (FIELD_MANAGER, _APPLY)
    ]


def _owner(path: str, others: list[Mapping[str, Any]]) -> str:
    """The manager that owns the field, or something in it."""
    for entry in others:
        if _owns(entry.get("fieldsV1") or {}, path):
            return str(entry.get("manager", "?"))
    return ""


def _owns(fields: Mapping[str, Any], path: str) -> bool:
    for part in parse(path):
        if f"f:{part}" not in fields:
            return False
        fields = fields[f"f:{part}"]
    return True


def _leaves(fields: Mapping[str, Any], *, path: str) -> Iterator[str]:
    """The smallest owned parts; a list whose items have owners of their own counts as one."""
    below = {key[2:]: value for key, value in fields.items() if key.startswith("f:")}
    if not below and path:
        yield path
    for key, value in below.items():
        yield from _leaves(value, path=join(path, key))


def _is_stated(declared: Mapping[str, Any], path: str) -> bool:
    """Whether the plan states the field, or a list that it lies in."""
    parts = parse(path)
    value: Any = declared
    for part in parts:
        if not isinstance(value, Mapping):
            return True
        if part not in value:
            return False
        value = value[part]
    return True


def _is_guarded(path: str) -> bool:
    parts = parse(path)
    return parts[:2] == ("metadata", "labels") if parts[0] == "metadata" else parts[0] not in _UNGUARDED
