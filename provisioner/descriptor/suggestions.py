"""Did you mean: the nearest known word to what was written."""

import difflib
from collections.abc import Iterable

_LONGEST = 60


def did_you_mean(written: str, known: Iterable[str]) -> str | None:
    """A hint with the known word that is nearest to ``written``, or None if none is near."""
    if len(written) > _LONGEST:
        return None
    by_folded = {_folded(word): word for word in known}
    near = difflib.get_close_matches(_folded(written), by_folded, n=1, cutoff=0.6)
    return f"did you mean {by_folded[near[0]]!r}?" if near else None


def _folded(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
