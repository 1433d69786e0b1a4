"""Runs every benchmark and writes docs/explanation/performance.md's table: `python -m bench [--small] [NAME ...]`.

With names, or small, nothing is written: the page tells what whole runs measured.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = ("start", "tenant", "prove", "onboarding", "members", "copy", "outage", "verify", "objects")
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
HEADER = """# Performance

What the benchmarks in `bench/` measured when `make bench` last ran. Compared are ratios to a baseline of the same
run, because machines are noisy; seconds are told for orientation.

| benchmark | result | unit | baseline | ratio | runs |
|---|---|---|---|---|---|
"""


def measured(name: str, *, small: bool) -> list[dict[str, Any]]:
    """Run one benchmark, show what it prints, and return its JSON lines."""
    command = [sys.executable, "-m", f"bench.{name}", *(["--small"] if small else [])]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(run.stdout, end="")
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def row(result: dict[str, Any]) -> str:
    """One row of the page's table."""
    cells = [
        result["benchmark"],
        *(_number(result.get(key)) for key in ("result", "unit", "baseline", "ratio", "runs")),
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str("" if value is None else value)


def main(arguments: list[str]) -> None:
    """Run the named benchmarks, or all of them and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--small", action="store_true", help="as little as shows that they still work")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    results = [result for name in chosen.names or BENCHMARKS for result in measured(name, small=chosen.small)]
    if not chosen.names and not chosen.small:
        PAGE.write_text(HEADER + "\n".join(row(result) for result in results) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
