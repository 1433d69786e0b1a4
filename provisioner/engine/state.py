"""Looks into a stack's state without working on it: is it there, what is pending, what does it put out.

A ``file://`` state is read directly, which costs nothing; every other backend is asked through the CLI.
Secrets stay encrypted: nothing here has the passphrase.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provisioner.engine.settings import PROJECT
from provisioner.errors import CoopctlError

# The mark of special values in Pulumi's state (sdk/go/common/resource/properties.go, SigKey).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_STACK_TYPE = "pulumi:pulumi:Stack"
_TORN = ".torn"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A stack's state, as far as coopctl looks into it.

    ``digest`` changes with every change of the state; ``salt`` is the encryption salt (useless without the
    passphrase); ``pending`` lists operations that a kill cut off; ``outputs`` holds no secret; ``inputs`` is what each
    resource, also one that was only begun, was declared with, secrets encrypted.
    """

    digest: str
    salt: str | None
    pending: tuple[str, ...]
    resources: tuple[str, ...]
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def holds_anything(self) -> bool:
        """Whether something is made, or may be."""
        return bool(self.resources or self.pending)


def read_checkpoint_file(state_folder: Path, *, stack: str) -> Checkpoint | None:
    """Read the state of ``stack`` in a ``file://`` backend, or None if there is none.

    Raises CoopctlError, with the way out, if it is damaged.
    """
    file = stacks_folder(state_folder) / f"{stack}.json"
    try:
        return parse_checkpoint(json.loads(file.read_bytes())["checkpoint"].get("latest") or {})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CoopctlError(
            f"the state of {stack} is damaged: {file}",
            why=str(error),
            hint=f"the state before the last change is {file.name}.bak beside it: put it in its place and apply again",
        ) from error


def put_back(state_folder: Path, *, stack: str, spare: Path) -> bool:
    """Put the newest whole state in the place of one that was torn; False if there is none.

    On a full disk Pulumi leaves what it could write of a state in the state's place, and of the one before in ``.bak``.
    ``spare`` is the state as it was before the last operation (`keep_spare`). The torn one is kept beside the spare.
    """
    file = stacks_folder(state_folder) / f"{stack}.json"
    whole = next((one for one in (file.with_name(f"{file.name}.bak"), spare) if _is_whole(one)), None)
    if whole is None:
        return False
    shutil.copyfile(file, spare.with_suffix(_TORN))
    _copied(whole, to=file)
    return True


def keep_spare(state_folder: Path, *, stack: str, spare: Path) -> str | None:
    """Copy the state before an operation changes it; says what was put back since the last one, if anything was."""
    file, torn = stacks_folder(state_folder) / f"{stack}.json", spare.with_suffix(_TORN)
    if _is_whole(file):
        spare.parent.mkdir(parents=True, exist_ok=True)
        _copied(file, to=spare)
    if not torn.exists():
        return None
    torn.unlink()
    return f"the state of {stack} had been torn by a full disk; the one before it was put back"


def _is_whole(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_bytes())["checkpoint"], dict)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _copied(file: Path, *, to: Path) -> None:
    temporary = to.with_name(f".{to.name}.new")
    shutil.copyfile(file, temporary)
    temporary.replace(to)


def list_stack_files(state_folder: Path) -> tuple[str, ...]:
    """The names of all stacks in a ``file://`` backend."""
    return tuple(sorted(path.stem for path in stacks_folder(state_folder).glob("*.json")))


def stacks_folder(state_folder: Path) -> Path:
    """Where a ``file://`` backend keeps the stacks of this project (meta version 1)."""
    return state_folder / ".pulumi" / "stacks" / PROJECT


def lock_folder(stack: str) -> str:
    """Where a backend keeps the locks of ``stack``: each object directly in it counts as one."""
    return f".pulumi/locks/organization/{PROJECT}/{stack}"


def drop_torn_locks(state_folder: Path, *, stack: str) -> None:
    """Take away lock files that a kill left half-written: Pulumi cannot read them and would fail at each.

    Only for who holds the stack's lease.
    """
    for file in (state_folder / lock_folder(stack)).glob("*"):
        try:
            json.loads(file.read_bytes())
        except ValueError:
            file.unlink(missing_ok=True)
        except OSError:
            continue


def parse_checkpoint(deployment: Mapping[str, Any]) -> Checkpoint:
    """Read a deployment as ``pulumi stack export`` prints it."""
    resources = deployment.get("resources") or []
    root: Mapping[str, Any] = next((resource for resource in resources if resource["type"] == _STACK_TYPE), {})
    outputs = root.get("outputs") or {}
    secrets = (deployment.get("secrets_providers") or {}).get("state") or {}
    begun = [operation["resource"] for operation in deployment.get("pending_operations") or []]
    return Checkpoint(
        digest=hashlib.sha256(json.dumps(deployment, sort_keys=True).encode()).hexdigest(),
        salt=secrets.get("salt"),
        pending=tuple(resource["urn"] for resource in begun),
        resources=tuple(resource["urn"] for resource in resources if resource["type"] != _STACK_TYPE),
        outputs={name: value for name, value in outputs.items() if not is_secret(value)},
        inputs={resource["urn"]: resource.get("inputs") or {} for resource in (*begun, *resources)},
    )


def is_secret(value: object) -> bool:
    """Whether ``value`` is, or holds, a special value of Pulumi's, such as a secret."""
    if isinstance(value, Mapping):
        return _SIGNATURE in value or any(is_secret(item) for item in value.values())
    return isinstance(value, list) and any(is_secret(item) for item in value)
