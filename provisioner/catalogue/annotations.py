"""The annotations of Chart.yaml that make a chart a solution, each with its form.

Annotations are texts. Lists are separated by commas, and come out sorted and without doubles.
"""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from provisioner.catalogue.offer import (
    Egress,
    Needs,
    Offer,
    Price,
    Review,
    Serving,
    Size,
    parse_egress,
    parse_licence,
    parse_price,
    parse_serving,
)
from provisioner.catalogue.requirement import Requirement, parse_requirement
from provisioner.catalogue.solution import Category
from provisioner.descriptor.cooperative import MemberLayout
from provisioner.descriptor.fields import choice, hides_text, problem, written
from provisioner.errors import UsageError
from provisioner.naming import API_GROUP

LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
EXTENSION = r"^[a-z][a-z0-9_-]{0,62}$"
MODULE = r"^[a-z][a-z0-9_]{0,62}$"
# Below the host: a path, a query or a fragment; {database} stands for the name of the cooperative's database.
PAGE = r"^([A-Za-z0-9._~/?#=&-]|\{database\}){1,200}$"
# RFC 3986, section 2: the characters of a URI.
SOURCE = r"^https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]{1,500}$"
LINE_MAX = 200

Value = TypeVar("Value")


def _parsed(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """``parse`` as pydantic calls it: a refusal is a problem of the field."""

    def parsed(text: str) -> Value:
        try:
            return parse(text)
        except UsageError as error:
            raise problem(error.message, hint=error.hint) from error

    return parsed


def one_line(most: int) -> Callable[[object], str]:
    """A validator of what people read in a line: nothing that breaks it, hides text or turns its direction."""

    def read(value: object) -> str:
        text = written(value)
        if len(text) > most:
            raise problem(f"is {len(text)} characters long; {most} are the most")
        if not text.isprintable() or hides_text(text) or text.isspace():
            raise problem(
                "must be one line of visible text", hint="remove what breaks the line, hides or reorders text"
            )
        return text

    return read


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(sorted({item.strip() for item in value.split(",") if item.strip()}))


def _ways_out(value: object) -> object:
    items = _listed(value)
    return tuple(_parsed(parse_egress)(item) for item in items) if isinstance(items, tuple) else items


def _requirements(value: object) -> object:
    items = _listed(value)
    return tuple(_parsed(parse_requirement)(item) for item in items) if isinstance(items, tuple) else items


def _price(value: object) -> object:
    return _parsed(parse_price)(value) if isinstance(value, str) else value


def _serving(value: object) -> object:
    return _parsed(parse_serving)(value) if isinstance(value, str) else value


_Listed = BeforeValidator(_listed)
_Names = Annotated[tuple[Annotated[str, Field(pattern=LABEL)], ...], _Listed]
_Requirements = Annotated[tuple[Requirement, ...], BeforeValidator(_requirements)]
_Line = Annotated[str, BeforeValidator(one_line(LINE_MAX))]


def annotation(field: str) -> str:
    """The whole name of the annotation for ``field``: ``needs_size`` is ``coopctl.dev/needs-size``."""
    return f"{API_GROUP}/{field.replace('_', '-')}"


class Annotations(BaseModel):
    """What a solution's chart says about itself."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=annotation)

    category: Annotated[Category, Field(strict=False)]
    display_name_ko: _Line
    display_name_en: _Line
    sectors: _Names = ()
    images: _Names = ()
    depends: _Requirements = ()
    integrates: _Requirements = ()
    serves: Annotated[Serving, BeforeValidator(_serving)] | None = None
    extends: str | None = Field(default=None, pattern=LABEL)
    modules: Annotated[tuple[Annotated[str, Field(pattern=MODULE)], ...], _Listed] = ()
    host: str | None = Field(default=None, pattern=LABEL)
    page: str = Field(default="", pattern=PAGE)
    first_user: str | None = Field(default=None, pattern=LABEL)
    publisher: _Line | None = None
    licence: Annotated[str, AfterValidator(_parsed(parse_licence))] | None = None
    source: str | None = Field(default=None, pattern=SOURCE)
    support_contact: _Line | None = None
    price: Annotated[Price, BeforeValidator(_price)] | None = None
    review: Annotated[Review, Field(strict=False)] = Review.PROPOSED
    member_layout: Annotated[MemberLayout, BeforeValidator(choice(MemberLayout))] | None = None
    needs_extensions: Annotated[tuple[Annotated[str, Field(pattern=EXTENSION)], ...], _Listed] = ()
    needs_bucket: Literal["true", "false"] = "false"
    needs_egress: Annotated[tuple[Egress, ...], BeforeValidator(_ways_out)] = ()
    needs_size: Annotated[Size, Field(strict=False)] = Size.SMALL

    def offer(self) -> Offer:
        """The terms that the annotations state."""
        needs = Needs(
            extensions=self.needs_extensions,
            bucket=self.needs_bucket == "true",
            egress=self.needs_egress,
            size=self.needs_size,
        )
        return Offer(
            publisher=self.publisher,
            licence=self.licence,
            source=self.source,
            support_contact=self.support_contact,
            price=self.price,
            review=self.review,
            needs=needs,
        )
