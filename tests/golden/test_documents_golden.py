"""What explain shows of a pilot, and the help of the documents' commands, word for word.

After a change that is meant: COOPCTL_WRITE_GOLDEN=1 pytest tests/golden/test_documents_golden.py, then read the diff.
"""

import os
from pathlib import Path

import pytest

from cli import main
from provisioner.errors import ExitCode

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "documents"
PILOT = str(ROOT / "examples" / "pilot")
COMMANDS = {
    "explain.txt": ["explain", "rice-processing", "--estate", PILOT],
    "explain.json": ["explain", "rice-processing", "dataStore", "--estate", PILOT, "--output", "json"],
    "help-init.txt": ["init", "--help"],
    "help-new.txt": ["new", "--help"],
    "help-validate.txt": ["validate", "--help"],
    "help-explain.txt": ["explain", "--help"],
    "help-schema.txt": ["schema", "--help"],
    "help-completion.txt": ["completion", "--help"],
    "help-migrate-preflight.txt": ["migrate", "preflight", "--help"],
    "help-migrate-plan.txt": ["migrate", "plan", "--help"],
    "help-migrate-start.txt": ["migrate", "start", "--help"],
    "help-migrate-status.txt": ["migrate", "status", "--help"],
    "help-migrate-verify.txt": ["migrate", "verify", "--help"],
    "help-migrate-rehearse.txt": ["migrate", "rehearse", "--help"],
    "help-migrate-abort.txt": ["migrate", "abort", "--help"],
    "help-migrate-cutover.txt": ["migrate", "cutover", "--help"],
    "help-migrate-relay.txt": ["migrate", "relay", "--help"],
    "help-migrate-rollback.txt": ["migrate", "rollback", "--help"],
    "help-migrate-finalise.txt": ["migrate", "finalise", "--help"],
    "help-migrate-erase.txt": ["migrate", "erase", "--help"],
    "help-migrate-estate.txt": ["migrate", "estate", "--help"],
    "help-migrate-orphans.txt": ["migrate", "orphans", "--help"],
    "help-migrate-report.txt": ["migrate", "report", "--help"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_answer_is_as_recorded(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main.run(COMMANDS[name]) is ExitCode.DONE
    shown = capsys.readouterr().out.replace(f"{ROOT}/", "")
    answer = "\n".join(line.rstrip() for line in shown.splitlines()) + "\n"
    if os.environ.get("COOPCTL_WRITE_GOLDEN"):
        (FOLDER / name).write_text(answer, encoding="utf-8")
    assert answer == (FOLDER / name).read_text(encoding="utf-8")
