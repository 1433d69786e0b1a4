"""What a state is known by: the charts' files and values, and nothing that lies beside them by chance."""

from pathlib import Path

from provisioner.operations.applied_solutions import state_of
from tests.unit.engine.test_engine_fingerprint import plan_with


def test_what_an_interpreter_keeps_beside_a_program_of_an_image_is_no_other_chart(tmp_path: Path) -> None:
    folder = tmp_path / "portal"
    (folder / "image" / "__pycache__").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("name: portal\n")
    plan = plan_with(folder, values={})
    before = state_of(plan).digest
    (folder / "image" / "__pycache__" / "server.cpython-311.pyc").write_bytes(b"cached")
    assert state_of(plan).digest == before
    (folder / "image" / "server.py").write_text("a program")
    assert state_of(plan).digest != before
