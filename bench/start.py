"""How long coopctl takes to start: --help, and validate of 7 and of 200 descriptors.

The baseline is `python -c "import click"` in the same run: runs of all are interleaved, and medians compared, so that
a busy moment of the machine hits every one alike. Aims: help within 150 ms or twice the baseline, 200 descriptors
within 1 s.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PILOT = Path(__file__).parents[1] / "examples" / "pilot"
MANY, FEW = 200, 20
BASELINE = "import click"
AIMS = {"start: coopctl --help": 0.150, "start: validate 200 descriptors": 1.0}


def grown_estate(folder: Path, *, cooperatives: int) -> Path:
    """A copy of the pilot estate in ``folder``, grown to ``cooperatives`` by copies that share their members' files."""
    shutil.copytree(PILOT, folder, ignore=shutil.ignore_patterns(".coopctl"))
    originals = sorted((folder / "cooperatives").glob("*.yaml"))
    for index in range(cooperatives - len(originals)):
        original = originals[index % len(originals)]
        name = f"{original.stem}-{index:03}"
        text = original.read_text(encoding="utf-8").replace(f"name: {original.stem}\n", f"name: {name}\n")
        copied = text.replace(".example.kr", f"-{index:03}.example.kr")
        (folder / "cooperatives" / f"{name}.yaml").write_text(copied, encoding="utf-8")
    return folder


def commands(folder: Path, *, many: int) -> Mapping[str, list[str]]:
    """What is measured, by name, with ``many`` descriptors in the larger estate; the baseline is among it."""
    coopctl = [str(Path(sys.executable).with_name("coopctl"))]
    pilot = grown_estate(folder / "pilot", cooperatives=7)
    grown = grown_estate(folder / "many", cooperatives=many)
    return {
        BASELINE: [sys.executable, "-c", "import click"],
        "start: coopctl --help": [*coopctl, "--help"],
        "start: validate 7 descriptors": [*coopctl, "validate", "--estate", str(pilot)],
        f"start: validate {many} descriptors": [*coopctl, "validate", "--estate", str(grown)],
    }


def measure(wanted: Mapping[str, list[str]], *, runs: int) -> dict[str, list[float]]:
    """Seconds of each command in each of ``runs`` rounds, after one round that warms the disk's cache."""
    seconds: dict[str, list[float]] = {name: [] for name in wanted}
    for turn in range(runs + 1):
        for name, command in wanted.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def results(seconds: Mapping[str, Sequence[float]]) -> list[dict[str, object]]:
    """One result for each command but the baseline: medians, and their ratio to the baseline's."""
    baseline = statistics.median(seconds[BASELINE])
    return [
        {
            "benchmark": name,
            "result": statistics.median(values),
            "unit": "s",
            "baseline": f"`{BASELINE}`: {baseline:.3f} s",
            "ratio": statistics.median(values) / baseline,
            "runs": len(values),
        }
        for name, values in seconds.items()
        if name != BASELINE
    ]


def show(found: Sequence[Mapping[str, object]]) -> None:
    """A JSON line for each result, then a table for people."""
    for result in found:
        print(json.dumps(result, ensure_ascii=False))
    print(f"{'benchmark':34}{'seconds':>9}{'ratio':>8}   aim")
    for result in found:
        aim = AIMS.get(str(result["benchmark"]))
        print(f"{result['benchmark']:34}{result['result']:9.3f}{result['ratio']:8.1f}   {f'{aim} s' if aim else '-'}")


def main(arguments: Sequence[str]) -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="rounds that count (default: 9)")
    parser.add_argument("--small", action="store_true", help="one round, fewer descriptors: does it still work?")
    options = parser.parse_args(arguments)
    runs, many = (1, FEW) if options.small else (options.runs, MANY)
    with tempfile.TemporaryDirectory(prefix="coopctl-bench-") as folder:
        show(results(measure(commands(Path(folder), many=many), runs=runs)))


if __name__ == "__main__":
    main(sys.argv[1:])
