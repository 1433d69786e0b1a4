"""The TenantTemplate document: defaults and sizes that descriptors build on.

Its settings are a part of a Cooperative's spec; they are checked where they end up, in the merged Cooperative,
so that a problem names the template's own file and line.
"""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from provisioner.descriptor.document import Document
from provisioner.descriptor.fields import DisplayText, FreeValues, Slug, Text, matching

_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}")

Version = Annotated[str, BeforeValidator(matching(_VERSION, what="a version such as 1.0.0"))]


class TemplateMetadata(Document):
    """What the template is called."""

    name: Slug = Field(description="Equals the folder's name.")
    display_name: DisplayText = Field(description="What people call it.")
    version: Version = Field(description="Raised with every change; `coopctl explain` shows it.")


class SettingsLayer(Document):
    """The part of a Cooperative's spec that a template may decide; scalar values may be Jinja2 expressions."""

    data_store: FreeValues = Field(default={}, description="As spec.dataStore of a Cooperative.")
    resources: FreeValues = Field(default={}, description="As spec.resources of a Cooperative.")


class SizeDocument(Document):
    """A size on offer."""

    description: Text = Field(description="Whom it suits.")
    settings: SettingsLayer = Field(
        default=SettingsLayer.model_construct(), description="What it sets above the template's defaults."
    )


class TemplateSpec(Document):
    """Defaults and sizes: all of its own, or above those of another template."""

    description: Text = Field(description="Whom the template suits.")
    extends: Slug | None = Field(
        default=None, description="A template above whose defaults and sizes it stands; that one extends none."
    )
    solutions: list[Slug] = Field(
        default=[], max_length=50, description="What `coopctl new` chooses where nobody says what; without: the portal."
    )
    defaults: SettingsLayer = Field(default=SettingsLayer.model_construct(), description="What holds for every size.")
    sizes: dict[str, SizeDocument] = Field(
        default={}, description="Sizes by name; at least one, here or in the template that it extends."
    )


class TemplateDocument(Document):
    """A tenant template."""

    api_version: Literal["coopctl.dev/v1"]
    kind: Literal["TenantTemplate"]
    metadata: TemplateMetadata
    spec: TemplateSpec
