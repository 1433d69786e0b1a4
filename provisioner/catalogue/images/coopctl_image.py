"""The image of coopctl itself, for migrations that run in the platform: Debian's Python and PostgreSQL client programs,
the libraries that a migration imports, and coopctl's own modules.

Libraries come as wheels of the versions and hashes that coopctl is locked to (requirements/runtime.txt); they are
unpacked, not installed. Pulumi, the toolchain and the catalogue are not in it: nothing is planned or applied in a pod.
"""

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from provisioner.catalogue.images.building import Report, alone
from provisioner.catalogue.images.definition import ImageDefinition, ImageFile
from provisioner.catalogue.images.sbom import Component
from provisioner.errors import NotFound, Unreachable

COOPCTL = "coopctl"
REPOSITORY = "coopctl/coopctl"
REMEDY = f"run `coopctl images build {COOPCTL} --push`, and commit images.lock"
PACKAGES = ("postgresql-client", "python3")
LIBRARIES = (
    "annotated-types",
    "boto3",
    "botocore",
    "click",
    "jinja2",
    "jmespath",
    "markdown-it-py",
    "markupsafe",
    "mdurl",
    "psycopg",
    "psycopg-binary",
    "pydantic",
    "pydantic-core",
    "pygments",
    "python-dateutil",
    "pyyaml",
    "rich",
    "s3transfer",
    "six",
    "typing-extensions",
    "typing-inspection",
    "urllib3",
)
OWN = ("cli", "provisioner")
# They lie beside the modules where coopctl is installed from its wheel, and are no matter of a migration.
OWN_LEFT_OUT = ("assets", "__pycache__")
# Debian 12's Python; wheels are chosen for it, whatever Python builds the image.
PYTHON = "3.11"
HOME = "usr/lib/coopctl"
USER_ID = 65532
PIP_SECONDS = 600
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==\S+ \\\n(?:    --hash=\S+(?: \\)?\n)+", re.MULTILINE)
_PROGRAM = """\
#!/usr/bin/python3 -sPB
import sys

sys.path.insert(0, "/usr/lib/coopctl")
from cli.main import main

main()
"""


@dataclass(frozen=True, kw_only=True)
class CoopctlImage:
    """The image, before anything is fetched for it; ``requirements`` is the lock of coopctl's libraries."""

    requirements: Path
    name: str = COOPCTL
    repository: str = REPOSITORY


def coopctl_definition(image: CoopctlImage, *, cache: Path, report: Report) -> ImageDefinition:
    """What the image is made of; libraries are fetched once, below the folder ``cache``.

    Raises NotFound without pip or the lock, Unreachable if wheels cannot be fetched.
    """
    home = cache / image.name
    home.mkdir(parents=True, exist_ok=True)
    wanted = locked_requirements(_read(image.requirements))
    with alone(home / "libraries.lock"):
        libraries, parts = _libraries(wanted, home=home, report=report)
        own = _own_metadata(libraries.with_name(f"{libraries.name}-own"))
    files = [*_files(libraries, target=HOME), *_files(own, target="")]
    for name in OWN:
        files += _files(_package(name), target=f"{HOME}/{name}")
    files.sort(key=lambda one: one.target)
    return ImageDefinition(
        name=image.name,
        repository=image.repository,
        description=f"coopctl {version(COOPCTL)}, for migrations that run in the platform",
        packages=PACKAGES,
        without=(),
        files=tuple(files),
        prune=(),
        entrypoint=("/usr/bin/coopctl",),
        user_id=USER_ID,
        user_name=COOPCTL,
        port=None,
        source=Path(),
        parts=(*parts, _own_part(files)),
    )


def locked_requirements(lock: str) -> str:
    """Pure: of a lock of all libraries what the image needs. Raises NotFound if it does not have one of them."""
    found = {match["name"].lower(): match[0] for match in _REQUIREMENT.finditer(lock)}
    if missing := [name for name in LIBRARIES if name not in found]:
        raise NotFound(f"the lock of coopctl's libraries lacks {', '.join(missing)}", hint="run `make lock`")
    return "".join(found[name] for name in LIBRARIES)


def wheel_part(wheel: Path) -> Component:
    """A wheel as the bill of materials names it, by its file's name (binary distribution format, "File name
    convention") and its bytes."""
    name, version, *_ = wheel.name.split("-")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Component(name=name.lower().replace("_", "-"), version=version, sha256=sha256, python=True)


def _libraries(wanted: str, *, home: Path, report: Report) -> tuple[Path, list[Component]]:
    """The folder of the unpacked wheels, and what it is made of; what is there with its list is whole."""
    folder = home / f"libraries-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    listed = folder.with_name(f"{folder.name}.json")
    if folder.is_dir() and listed.is_file():
        return folder, [Component(**one) for one in json.loads(listed.read_text(encoding="utf-8"))]
    work = home / "libraries.new"
    shutil.rmtree(work, ignore_errors=True)
    (work / "wheels").mkdir(parents=True)
    report(f"fetching the {len(LIBRARIES)} libraries of the image {COOPCTL}")
    _download(wanted, work=work)
    wheels = sorted((work / "wheels").glob("*.whl"))
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "files", members=[one for one in archive.namelist() if ".data/" not in one])
    parts = [wheel_part(wheel) for wheel in wheels]
    shutil.rmtree(folder, ignore_errors=True)
    listed.write_text(json.dumps([asdict(one) for one in parts]), encoding="utf-8")
    (work / "files").rename(folder)
    shutil.rmtree(work, ignore_errors=True)
    return folder, parts


def _download(wanted: str, *, work: Path) -> None:
    requirements = work / "requirements.txt"
    requirements.write_text(wanted, encoding="utf-8")
    machine = platform.machine()
    platforms = [f"--platform={kind}_{machine}" for kind in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    chosen = [f"--python-version={PYTHON}", "--implementation=cp", *platforms]
    into = ["--dest", str(work / "wheels"), "--requirement", str(requirements)]
    command = [sys.executable, "-m", "pip", "download", *options, *chosen, *into]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    if "No module named pip" in done.stderr:
        raise NotFound("this Python has no pip, which fetches the image's libraries", hint="install python3-pip")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise Unreachable("the libraries of coopctl's image cannot be fetched", why="".join(last))


def _own_part(files: Sequence[ImageFile]) -> Component:
    """coopctl's own modules; the hash is one of their paths and contents."""
    own = [one for one in files if one.target.startswith(tuple(f"{HOME}/{name}/" for name in OWN))]
    digest = hashlib.sha256()
    for one in own:
        digest.update(f"{one.target}\0{hashlib.sha256(one.source.read_bytes()).hexdigest()}\n".encode())
    return Component(name=COOPCTL, version=version(COOPCTL), sha256=digest.hexdigest(), kind="application")


def _own_metadata(folder: Path) -> Path:
    """The program, and by what its modules know their version."""
    files = {
        "usr/bin/coopctl": _PROGRAM,
        f"{HOME}/{COOPCTL}-{version(COOPCTL)}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {COOPCTL}\nVersion: {version(COOPCTL)}\n"
        ),
    }
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def _files(folder: Path, *, target: str) -> Iterator[ImageFile]:
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if file.is_file() and not set(OWN_LEFT_OUT) & set(path.parts[:-1]):
            place = f"{target}/{path}" if target else str(path)
            yield ImageFile(source=file, target=place, mode=0o755 if place.startswith("usr/bin/") else 0o644)


def _package(name: str) -> Path:
    """Where coopctl's own modules lie, in a checkout or installed."""
    return Path(__file__).resolve().parents[3] / name


def _read(requirements: Path) -> str:
    try:
        return requirements.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"the lock of coopctl's libraries is not at {requirements}", why=error.strerror) from error
