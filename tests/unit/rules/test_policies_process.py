"""The policy pack's process: found by the CLI, serving, and gone when its parent is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from policies import plugin
from provisioner.engine.home import assemble_home
from tests.unit.plan import builders

# A parent that starts the pack, says the child's pid and port, and waits to be killed.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True, cwd="/")
print(child.pid, child.stdout.readline().strip(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    """The executable where the CLI looks for it, at a path with a space."""
    script = plugin.executable(Path(sys.executable), paths=(builders.ROOT,))
    home = assemble_home(tmp_path / "my cache", plugins={plugin.PLUGIN: script})
    return home / "plugins" / plugin.PLUGIN / "pulumi-analyzer-policy-python"


def test_the_pack_serves_and_does_not_outlive_a_parent_that_was_killed(executable: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(executable)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    try:
        pid, port = (int(text) for text in parent.stdout.readline().split())
        assert port in {one.laddr.port for one in psutil.Process(pid).net_connections("tcp")}
    finally:
        parent.kill()
        parent.wait()
        parent.stdin.close()
        parent.stdout.close()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("the pack outlived its parent")
        time.sleep(0.1)


def test_the_pack_imports_no_document_and_no_server_library() -> None:
    """It starts at every preview: pydantic, Kubernetes' and the data store's libraries would double its start."""
    code = (
        "import sys, policies.pack; "
        "print([name for name in ('pydantic', 'kubernetes', 'boto3', 'psycopg', 'jinja2', 'rich', 'click') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8", cwd=builders.ROOT
    )
    assert done.stdout.strip() == "[]"
