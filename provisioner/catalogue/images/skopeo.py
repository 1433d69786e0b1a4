"""Runs skopeo: an image goes from one place to another, unchanged, with every blob under its digest.

Places are written as skopeo writes them: ``docker://registry/repository@digest``, ``oci:folder:reference``,
``dir:folder`` (containers-transports(5)). Credentials of a registry are skopeo's own business (REGISTRY_AUTH_FILE or
containers-auth.json), so none of them passes through coopctl. Only registries on this machine are spoken to without
TLS.
"""

import ipaddress
import re
import subprocess

from provisioner.errors import CoopctlError, NotFound, NotPermitted, Unreachable

TIMEOUT_SECONDS = 600
_REGISTRY = "docker://"
_UNREACHABLE = ("connection refused", "no such host", "i/o timeout", "pinging container registry")
_FORBIDDEN = ("unauthorized", "denied", "authentication required")


def copy(source: str, target: str) -> None:
    """Copy the image at ``source`` to ``target``; what is there already is not sent again.

    Every manifest of an image for several machines is copied. Raises Unreachable, NotPermitted, NotFound if skopeo is
    missing, and CoopctlError for all else, such as an image that is not there, or is damaged.
    """
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--retry-times=2"]
    for option, place in (("--src-tls-verify", source), ("--dest-tls-verify", target)):
        if place.startswith(_REGISTRY):
            command.append(f"{option}={'false' if is_local(_registry(place)) else 'true'}")
    try:
        done = subprocess.run([*command, source, target], capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except FileNotFoundError as error:
        raise NotFound("skopeo is not on PATH", hint="run `make system`, or install Debian's package skopeo") from error
    except subprocess.TimeoutExpired as error:
        message = f"the image was not copied from {source} to {target} in {TIMEOUT_SECONDS} s"
        raise Unreachable(message) from error
    if done.returncode:
        raise _failure(source, target, complaint=done.stderr.decode(errors="replace").strip())


def is_local(registry: str) -> bool:
    """Whether ``registry`` is on this machine or its private bridge, where no one else listens in."""
    server = registry.split("/", 1)[0]
    host = server.rpartition(":")[0] or server
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return address.is_loopback


def _registry(place: str) -> str:
    """The host and port in ``place``."""
    return place.removeprefix(_REGISTRY).split("/", 1)[0]


def _last_message(complaint: str) -> str:
    """What skopeo's last log line says: time="…" level=fatal msg="…"."""
    found = re.search(r'msg="(.*)"$', complaint.splitlines()[-1]) if complaint else None
    return found[1].replace('\\"', '"') if found else complaint


def _failure(source: str, target: str, *, complaint: str) -> CoopctlError:
    lowered, why = complaint.lower(), _last_message(complaint)
    registries = [_registry(place) for place in (target, source) if place.startswith(_REGISTRY)]
    registry = next((one for one in registries if one in why), registries[0])
    if any(sign in lowered for sign in _FORBIDDEN):
        return NotPermitted(
            f"the registry {registry} refuses the image", why=why, hint=f"run `skopeo login {registry}`"
        )
    if any(sign in lowered for sign in _UNREACHABLE):
        hint = "run `coopctl dev up`, or see `coopctl doctor`"
        return Unreachable(f"the registry {registry} does not answer", why=why, hint=hint)
    return CoopctlError(f"the image could not be copied from {source} to {target}", why=why)
