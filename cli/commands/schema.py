"""`coopctl schema`: the JSON Schema of the documents."""

import click

from cli import options


@click.command(epilog="Example: coopctl schema Cooperative > cooperative.schema.json")
@click.argument(
    "kind",
    required=False,
    type=click.Choice(["Cooperative", "DataStoreMigration", "Platform", "PolicyException", "TenantTemplate"]),
)
@options.output
def schema(*, kind: str | None, output: str) -> None:
    """Print the JSON Schema of a document kind, or of all, for editors.

    It stands alone, as editors want it; with --output json it is the field `schema` of a document like every other
    answer. With the YAML language server, begin a document with the line
    `# yaml-language-server: $schema=cooperative.schema.json`.
    """
    from cli.views import documents
    from provisioner.descriptor import json_schema

    documents.show_schema(json_schema.schema(kind), kind=kind, output=output)
