"""What rules need to know about a tenant, and how a Namespace carries it for the admission policies.

Parameters are annotations of the Namespace, not parameter objects: a tenant cannot edit them, and they cannot be
missing while the Namespace is there (Kubernetes documentation, "Validating Admission Policy", ``namespaceObject``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.naming import (
    ANNOTATION_DOMAIN,
    ANNOTATION_EXCEPTIONS,
    ANNOTATION_INGRESS_CLASS,
    ANNOTATION_NAMESPACES,
    ANNOTATION_OPERATORS,
    ANNOTATION_PRIORITY_CLASSES,
    ANNOTATION_REGISTRIES,
    ANNOTATION_RUNTIME_CLASSES,
    ANNOTATION_SOLUTIONS,
    ANNOTATION_STORAGE_CLASSES,
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A tenant, as far as rules judge by it.

    ``namespaces`` are its own, the one of the solutions first; ``registries`` are prefixes with their trailing slash;
    ``operators`` are subjects as ``User:name`` or ``Group:name`` with spaces escaped; ``solutions`` are the
    releases of the catalogue; ``exceptions`` are the ids of rules that do not hold now.
    """

    namespaces: tuple[str, ...]
    domain: str
    registries: tuple[str, ...]
    storage_classes: tuple[str, ...]
    ingress_class: str
    priority_classes: tuple[str, ...] = ()
    runtime_classes: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    solutions: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()

    @property
    def apps_namespace(self) -> str:
        """Where the solutions' objects belong."""
        return self.namespaces[0]

    @property
    def data_namespace(self) -> str:
        """Where the Services of the data store and the Jobs on it are."""
        return self.namespaces[-1]


def subject(kind: str, name: str) -> str:
    """How an operator is written in `Facts.operators`: spaces would end an item."""
    return f"{kind}:{name.replace(' ', '%20')}"


def as_annotations(facts: Facts) -> dict[str, str]:
    """The annotations by which a tenant's Namespace carries ``facts``."""
    return {
        ANNOTATION_DOMAIN: facts.domain,
        ANNOTATION_INGRESS_CLASS: facts.ingress_class,
        **{name: " ".join(items) for name, items in _lists(facts).items()},
    }


def _lists(facts: Facts) -> Mapping[str, tuple[str, ...]]:
    return {
        ANNOTATION_NAMESPACES: facts.namespaces,
        ANNOTATION_REGISTRIES: facts.registries,
        ANNOTATION_STORAGE_CLASSES: facts.storage_classes,
        ANNOTATION_PRIORITY_CLASSES: facts.priority_classes,
        ANNOTATION_RUNTIME_CLASSES: facts.runtime_classes,
        ANNOTATION_OPERATORS: facts.operators,
        ANNOTATION_SOLUTIONS: facts.solutions,
        ANNOTATION_EXCEPTIONS: facts.exceptions,
    }
