"""What an image is made of: the document ``image.yaml`` beside a solution's chart."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from provisioner.catalogue.annotations import one_line
from provisioner.catalogue.images.sbom import Component
from provisioner.catalogue.images_lock import REPOSITORY
from provisioner.catalogue.reading import read_document
from provisioner.descriptor.document import Document
from provisioner.descriptor.fields import Boolean, Port, integer, problem

IMAGE_FILE = "image.yaml"
DESCRIPTION_MAX = 500
# Debian Policy Manual, section 5.6.1: names of packages.
PACKAGE = r"^[a-z0-9][a-z0-9+.-]+$"


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """A file of the chart's folder that goes into the image; ``target`` has no leading slash."""

    source: Path
    target: str
    mode: int


@dataclass(frozen=True, kw_only=True)
class TableProgram:
    """How tables are made when the image is built: a program that its own Python runs with modules as arguments.

    ``modules`` is the folder of the image where the server looks for its modules, without a leading slash.
    """

    source: Path
    modules: str


@dataclass(frozen=True, kw_only=True)
class ImageDefinition:
    """An image: Debian packages with all they need, but for those in ``without``; own files; how it is started.

    ``prune`` are patterns (fnmatch) of paths that are left out, besides manuals and translations. ``tables`` is None
    for an image that holds no tables for its solutions' databases. ``parts`` are what the own files came from, for the
    bill of materials, where that has a name and a version of its own.
    """

    name: str
    repository: str
    description: str
    packages: tuple[str, ...]
    without: tuple[str, ...]
    files: tuple[ImageFile, ...]
    prune: tuple[str, ...]
    entrypoint: tuple[str, ...]
    user_id: int
    user_name: str
    port: int | None
    source: Path
    tables: TableProgram | None = None
    parts: tuple[Component, ...] = ()


def _inside(path: str) -> str:
    if ".." in PurePosixPath(path).parts:
        raise problem("may not lead upwards")
    return path


_Package = Annotated[str, Field(pattern=PACKAGE)]
_Relative = Annotated[str, Field(pattern=r"^[^/\s][^\s]*$"), AfterValidator(_inside)]
_Absolute = Annotated[str, Field(pattern=r"^/[^\s]+$"), AfterValidator(_inside)]


class _File(Document):
    source: _Relative
    target: _Absolute
    executable: Boolean = False


class _Tables(Document):
    program: _Relative
    modules: _Absolute


class _User(Document):
    # Pod Security `restricted` refuses root.
    id: Annotated[int, BeforeValidator(integer(least=1, most=65534))]
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")


class _Spec(Document):
    repository: str = Field(pattern=REPOSITORY)
    description: Annotated[str, BeforeValidator(one_line(DESCRIPTION_MAX))] = ""
    packages: list[_Package] = Field(min_length=1)
    without: list[_Package] = Field(default=[])
    files: list[_File] = Field(default=[])
    prune: list[_Relative] = Field(default=[])
    entrypoint: list[str] = Field(min_length=1)
    user: _User
    port: Port | None = None
    tables: _Tables | None = None


class _Metadata(Document):
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


class _ImageDocument(Document):
    api_version: Literal["coopctl.dev/v1"]
    kind: Literal["Image"]
    metadata: _Metadata
    spec: _Spec


def read_definition(file: Path) -> ImageDefinition:
    """Read the image definition in ``file``; raises InvalidDescriptor with every problem."""
    read = read_document(file, model=_ImageDocument, what="image definition")
    spec = read.content.spec
    named: list[tuple[tuple[str | int, ...], str]] = [
        (("spec", "files", index, "source"), item.source) for index, item in enumerate(spec.files)
    ]
    if spec.tables:
        named.append((("spec", "tables", "program"), spec.tables.program))
    missing = [
        read.source.diagnostic(place, f"{source} does not exist")
        for place, source in named
        if not (file.parent / source).is_file()
    ]
    if missing:
        raise read.source.invalid(missing)
    return _definition(read.content.metadata.name, spec=spec, file=file)


def _definition(name: str, *, spec: _Spec, file: Path) -> ImageDefinition:
    return ImageDefinition(
        name=name,
        repository=spec.repository,
        description=spec.description,
        packages=tuple(sorted(spec.packages)),
        without=tuple(sorted(spec.without)),
        files=tuple(
            ImageFile(
                source=file.parent / item.source,
                target=item.target.lstrip("/"),
                mode=0o755 if item.executable else 0o644,
            )
            for item in spec.files
        ),
        prune=tuple(sorted(spec.prune)),
        entrypoint=tuple(spec.entrypoint),
        user_id=spec.user.id,
        user_name=spec.user.name,
        port=spec.port,
        source=file,
        tables=TableProgram(source=file.parent / spec.tables.program, modules=spec.tables.modules.lstrip("/"))
        if spec.tables
        else None,
    )
