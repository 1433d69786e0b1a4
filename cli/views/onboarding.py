"""How a new cooperative looks that was applied at once: its files, what was made and proved, who logs in first."""

from collections.abc import Sequence
from pathlib import Path

from cli.views import changes, documents, first_logins, json, proof
from provisioner.operations.onboarding import Onboarded


def show(name: str, *, made: Sequence[Path], done: Onboarded, output: str) -> None:
    """Show all of it: as one JSON document, or for people."""
    if output == "json":
        applied = changes.document(done.applied) | {"proofs": proof.summaries(done.proofs)}
        logins = first_logins.documents(done.logins)
        json.write("NewCooperative", documents.cooperative_document(name, made=made) | applied | {"logins": logins})
        return
    documents.tell_made(name, made=made)
    changes.show("Applied", done.applied, output=output, done=True, proofs=done.proofs)
    if done.logins:
        first_logins.show(done.logins, name=name, output=output)
