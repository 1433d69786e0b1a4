"""Tables that an image holds for the databases of its solutions, and the list that says which there are.

A migration that finds an empty database loads the script of its modules, instead of running the server's own programs
for minutes. The scripts and their list lie in a layer of their own, so that they change without the packages' layer.
"""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provisioner.catalogue.images.definition import ImageDefinition
from provisioner.catalogue.images.image_root import ImageRoot
from provisioner.catalogue.images.layer import Tree
from provisioner.catalogue.images.table_sets import TableSet

FOLDER = "usr/share/coopctl/prepared"
LIST = "tables.json"
FORMAT = 1
COMPRESSION = 6


@dataclass(frozen=True, kw_only=True)
class PreparedTables:
    """The tables of one set, as a script of SQL in UTF-8."""

    tables: TableSet
    script: bytes


class Preparing(Protocol):
    """Whoever makes an image's tables in advance."""

    def fingerprint(self, definition: ImageDefinition) -> str:
        """Changes whenever the tables may come out otherwise while the packages stay the same."""

    def prepare(
        self,
        definition: ImageDefinition,
        *,
        root: ImageRoot,
        packages: str,
        cache: Path,
        report: Callable[[str], None],
    ) -> tuple[PreparedTables, ...]:
        """Make the tables with the programs in ``root``; ``packages`` is a digest of what these came from.

        What was made is kept below ``cache``, and found there the next time.
        """


def prepared_layer(made: Sequence[PreparedTables], *, versions: Mapping[str, str]) -> Tree:
    """The layer with the scripts; ``versions`` are those of the packages that made the tables."""
    tree = Tree(prune=())
    for one in made:
        tree.add_file(f"{FOLDER}/{_file(one.tables)}", content=gzip.compress(one.script, COMPRESSION, mtime=0))
    listed = {
        "format": FORMAT,
        "packages": dict(sorted(versions.items())),
        "sets": [_listed(one.tables) for one in made],
    }
    tree.add_file(f"{FOLDER}/{LIST}", content=(json.dumps(listed, indent=1, sort_keys=True) + "\n").encode())
    return tree


def _file(tables: TableSet) -> str:
    return f"{tables.name}.sql.gz"


def _listed(tables: TableSet) -> dict[str, object]:
    return {
        "name": tables.name,
        "file": _file(tables),
        "modules": list(tables.modules),
        "own": {module.name: module.digest for module in tables.own},
    }
