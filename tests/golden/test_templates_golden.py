"""What each size of each shipped template becomes, for a hundred members of thirteen employees.

After a change that is meant: COOPCTL_WRITE_GOLDEN=1 pytest tests/golden/test_templates_golden.py, then read the diff.
"""

import json
import os
from pathlib import Path

import pytest

from provisioner.descriptor.templates import TemplateShelf, shipped_templates
from provisioner.engine.fingerprint import to_plain
from tests.unit.descriptor.worlds import COOPERATIVE, world

FOLDER = Path(__file__).parent / "templates"
MEMBERS = "id,name,employees\n" + "".join(f"m-{number},회원사,13\n" for number in range(100))
SHELF = TemplateShelf(folders=(shipped_templates(),))


def became(template: str, size: str, *, folder: Path) -> object:
    """What a cooperative of ``template`` and ``size`` gets, in bytes, thousandths of a CPU and counts."""
    text = COOPERATIVE.replace("template: manufacturing", f"template: {template}").replace("small", size)
    made = world(folder, {"rice": text.replace("[{id: m-1, name: 회원사 001, employees: 8}]", "{file: ../rice.csv}")})
    made.write("rice.csv", MEMBERS)
    (resolved,) = made.check().resolved
    cooperative = resolved.cooperative
    assert cooperative is not None, resolved.problems
    parts = ("postgres", "objects", "apps_budget", "data_budget", "container_limits")
    return {part: to_plain(getattr(cooperative, part)) for part in parts}


@pytest.mark.parametrize("template", SHELF.names())
def test_each_size_becomes_what_is_recorded(template: str, tmp_path: Path) -> None:
    read = SHELF.template(template)
    assert read is not None
    assert read.template is not None
    sizes = {size: became(template, size, folder=tmp_path / size) for size in read.template.sizes}
    written = json.dumps(sizes, ensure_ascii=False, indent=1) + "\n"
    file = FOLDER / f"{template}.json"
    if os.environ.get("COOPCTL_WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(written, encoding="utf-8")
    assert written == file.read_text(encoding="utf-8")
