"""The PolicyException document as people write it."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from provisioner.descriptor.document import API_VERSION, Document
from provisioner.descriptor.fields import CalendarDate, CooperativeNameField, DisplayText, Slug, matching

_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
# Kubernetes documentation, "Object Names and IDs", DNS subdomain names; Roles and bindings may hold a colon.
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.:]{0,251}[A-Za-z0-9])?")


class ObjectDocument(Document):
    """The one object that the exception is about."""

    kind: Annotated[str, BeforeValidator(matching(_KIND, what="a kind such as StatefulSet"))] = Field(
        description="Its kind, such as StatefulSet; a pod's template counts as the object that holds it."
    )
    name: Annotated[str, BeforeValidator(matching(_NAME, what="an object's name"))] = Field(description="Its name.")


class PolicyExceptionSpec(Document):
    """What does not hold, for whom, until when, and who answers for it."""

    rule: Slug = Field(description="The rule's id; `coopctl policy list` shows which there are.")
    cooperative: CooperativeNameField = Field(description="The cooperative that it does not hold for.")
    object: ObjectDocument | None = Field(
        default=None, description="One object; without it the rule holds for none of the cooperative's objects."
    )
    who: DisplayText = Field(description="Who answers for it: a person or an office.")
    why: DisplayText = Field(description="What it is for.")
    until: CalendarDate = Field(description="Its last day (UTC), YYYY-MM-DD; past it the exception is a violation.")


class PolicyExceptionMetadata(Document):
    """What the exception is called."""

    name: Slug = Field(description="Equals the file's name.")


class PolicyExceptionDocument(Document):
    """An exception from a rule: who asked for it, why, and until when."""

    api_version: Literal["coopctl.dev/v1"] = Field(description=f"Always {API_VERSION}.")
    kind: Literal["PolicyException"] = Field(description="Always PolicyException.")
    metadata: PolicyExceptionMetadata = Field(description="What it is called.")
    spec: PolicyExceptionSpec = Field(description="What does not hold, for whom, and until when.")
