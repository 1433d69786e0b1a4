"""The way back: what is written at the target after the switch is brought to the source, and nothing else.

Before the switch source and target hold the same. Then a ledger in the other direction is made of the one that says so:
each version of the target has its counterpart at the source already. After the switch passes by that ledger copy back
what the application wrote since, and remove what it deleted.

Made in one step: cut off, there is no ledger yet, and the same call makes it anew. It must be made before the first
write at the target; it refuses a target that holds what was not copied there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.errors import CoopctlError
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_ledger import Ledger, open_ledger
from provisioner.migration.objects_listing import Chain, chains
from provisioner.migration.objects_values import Copied

BATCH_KEYS = 500


def return_file(file: Path) -> Path:
    """Where the ledger of the way back is, beside the one in ``file``."""
    return file.with_name(f"{file.name}-back")


def prepare_return(file: Path, *, ledger: Ledger, source: Bucket, target: Bucket) -> None:
    """Make the ledger in ``file`` of copying ``target`` back to ``source``, of ``ledger`` of copying there.

    Nothing is done if it is there already. Raises CoopctlError if the target holds anything but the copies, and what
    S3 calls raise.
    """
    if file.exists():
        return
    begun = file.with_name(f"{file.name}.new")
    for left in (begun, *(begun.with_name(f"{begun.name}{suffix}") for suffix in ("-wal", "-shm"))):
        left.unlink(missing_ok=True)
    with open_ledger(begun, source=str(target), target=str(source)) as back:
        batch: list[tuple[str, tuple[Copied, ...]]] = []
        for chain in chains(target):
            batch.append((chain[0], _turned(chain, ledger.recorded(chain[0]), target=target)))
            if len(batch) == BATCH_KEYS:
                back.complete(batch)
                batch = []
        back.complete(batch)
        _require_all(ledger, back, target=target)
    begun.replace(file)


def _turned(chain: Chain, copies: Sequence[Copied], *, target: Bucket) -> tuple[Copied, ...]:
    """The copies of a key as seen from the target."""
    key, listed = chain
    if [one.version for one in listed] != [one.target_version for one in copies]:
        raise _differs(key, target=target)
    return tuple(
        replace(one, source=there, target_version=one.source.version) for there, one in zip(listed, copies, strict=True)
    )


def _require_all(ledger: Ledger, back: Ledger, *, target: Bucket) -> None:
    missing = next((key for key in _keys(ledger) if not back.recorded(key)), None)
    if missing is not None:
        raise _differs(missing, target=target)


def _keys(ledger: Ledger) -> Iterator[str]:
    last = None
    for one in ledger.manifest():
        if one.source.key != last:
            yield one.source.key
        last = one.source.key


def _differs(key: str, *, target: Bucket) -> CoopctlError:
    return CoopctlError(
        f"{target} does not hold what was copied there: {key!r} differs",
        why="somebody else has written to it, or the copy is not complete",
        hint="run the passes and the verification again before the switch",
    )
