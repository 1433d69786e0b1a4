"""How long a proof of isolation takes: of one cooperative without and with probe pods, and of seven at once.

On an embedded platform with a real node in a temporary folder; each cooperative has the portal alone. The baseline is
`coopctl status` of the same cooperatives, which reads what a proof looks at and attacks nothing. Aims, on two cores
with nothing beside it: within 5 s, 20 s and 60 s.
"""

import argparse
import json
import sys
from pathlib import Path

from bench.copy import result_of
from bench.onboarding import running_estate
from bench.tenant import coopctl, seconds_of

COOPERATIVES = tuple(f"makers-{number}" for number in range(7))
FEW = COOPERATIVES[:2]
AIMS = "one without probe pods 5 s, one 20 s, seven at once 60 s"


def seconds_of_a_proof(*arguments: str, estate: Path) -> float:
    """How long `coopctl prove` takes; ends the benchmark unless all are isolated."""

    def prove() -> None:
        proofs = json.loads(coopctl("prove", *arguments, "--output", "json", estate=estate))["proofs"]
        if not all(proof["isolated"] for proof in proofs):
            sys.exit("a cooperative is not isolated")

    return seconds_of(prove)


def measure(names: tuple[str, ...], *, estate: Path, runs: int) -> list[dict[str, object]]:
    """Apply the cooperatives, then measure each kind ``runs`` times and take the best: what else ran is not ours."""
    for name in names:
        words = ("--template", "services", "--display-name", "조합", "--solution", "portal")
        coopctl("new", name, *words, estate=estate)
    coopctl("images", "build", "--used", "--push", estate=estate)
    coopctl("apply", "--all", "--yes", "--no-prove", estate=estate)
    one, everyone = names[0], "--all"
    ways = {
        "one, without probe pods": (one, "--no-probe-pods"),
        "one": (one,),
        f"{len(names)} at once": (everyone,),
    }
    return [_compared(what, chosen, estate=estate, runs=runs) for what, chosen in ways.items()]


def _compared(what: str, chosen: tuple[str, ...], *, estate: Path, runs: int) -> dict[str, object]:
    seconds = min(seconds_of_a_proof(*chosen, estate=estate) for _ in range(runs))
    baseline = min(seconds_of(lambda: coopctl("status", chosen[0], estate=estate)) for _ in range(runs))
    return result_of(f"prove: {what}", seconds, "coopctl status", baseline, runs=runs)


def main() -> None:
    """Measure and print: one JSON line per result, then the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--small", action="store_true", help="two cooperatives, once: does it still work?")
    options = parser.parse_args()
    with running_estate() as estate:
        names, runs = (FEW, 1) if options.small else (COOPERATIVES, options.runs)
        for result in measure(names, estate=estate, runs=runs):
            print(json.dumps(result, ensure_ascii=False))
    print(f"aims: {AIMS}")


if __name__ == "__main__":
    main()
