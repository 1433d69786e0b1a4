"""The JSON Schema (draft 2020-12) of the documents, for editors: completion, descriptions, first checks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from provisioner.descriptor.cooperative_document import CooperativeDocument
from provisioner.descriptor.migration_document import DataStoreMigrationDocument
from provisioner.descriptor.platform_document import PlatformDocument
from provisioner.descriptor.policy_exception_document import PolicyExceptionDocument
from provisioner.descriptor.template_document import TemplateDocument

DOCUMENTS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "Cooperative": CooperativeDocument,
        "DataStoreMigration": DataStoreMigrationDocument,
        "Platform": PlatformDocument,
        "PolicyException": PolicyExceptionDocument,
        "TenantTemplate": TemplateDocument,
    }
)
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str | None) -> dict[str, Any]:
    """The schema of documents of ``kind``, or of any kind."""
    models = [DOCUMENTS[kind]] if kind else list(DOCUMENTS.values())
    references, definitions = models_json_schema([(model, "validation") for model in models], by_alias=True)
    roots = [references[model, "validation"] for model in models]
    title = f"coopctl {kind or 'document'}"
    choice = roots[0] if kind else {"oneOf": roots}
    return {"$schema": _DIALECT, "title": title, **choice, "$defs": definitions["$defs"]}
