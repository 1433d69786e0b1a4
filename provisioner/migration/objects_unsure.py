"""A ledger that is older than what was copied: it was uploaded by a machine that copied on, and died.

What it does not know, the copy has put there, or removed, for nobody else writes to a target before the switch. All
such keys become intents: the next pass brings them to what is recorded first, then to what the source has. So nothing
is there twice.
"""

from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_ledger import Ledger
from provisioner.migration.objects_listing import chains

BATCH_KEYS = 500


def intend_unknown(ledger: Ledger, target: Bucket) -> None:
    """Make intents of all keys that ``target`` holds otherwise than ``ledger`` says; uploads that it does not know are
    given up. Idempotent; raises what the ledger and S3 calls raise."""
    known = {(key, upload.id) for key, upload in ledger.open_uploads()}
    for key, upload in target.uploads():
        if (key, upload) not in known:
            target.abort_upload(key, upload=upload)
    ledger.forget_seen()
    seen, strange = list[str](), list[str]()
    for key, chain in chains(target):
        seen.append(key)
        recorded = [(one.target_version, one.source.size) for one in ledger.recorded(key)]
        if [(one.version, one.size) for one in chain] != recorded:
            strange.append(key)
        if len(seen) == BATCH_KEYS:
            _note(ledger, seen, strange)
    _note(ledger, seen, strange)
    ledger.intend(ledger.unseen())


def _note(ledger: Ledger, seen: list[str], strange: list[str]) -> None:
    ledger.see(seen)
    ledger.intend(strange)
    seen.clear()
    strange.clear()
