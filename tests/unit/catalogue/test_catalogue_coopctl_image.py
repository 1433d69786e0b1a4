"""coopctl's own image is made of what it is locked to, and of nothing that a migration does not import."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.catalogue.images.coopctl_image import LIBRARIES, locked_requirements, wheel_part
from provisioner.errors import NotFound

LOCK = Path(__file__).parents[3] / "requirements" / "runtime.txt"
# What `migrate start` imports in a pod, in an interpreter that finds nothing but the image's libraries.
IMPORTS = """
import sys
from importlib.metadata import packages_distributions
import boto3, psycopg
import cli.main, cli.commands.migrate, cli.commands.migrate_site, cli.views.migrate, cli.views.telling, cli.failures
import provisioner.operations.migrating, provisioner.operations.migration_site
import provisioner.operations.migration_in_platform
import cli.commands.migrate_slice, cli.wiring, cli.views.migrate_slice
import provisioner.operations.slice_moving, provisioner.operations.slice_site
boto3.Session().client("s3", endpoint_url="http://127.0.0.1:9", region_name="x",
                       aws_access_key_id="x", aws_secret_access_key="x")
known = packages_distributions()
print(*{one.lower().replace("_", "-") for name in sys.modules for one in known.get(name.partition(".")[0], ())})
"""
# Not imported by coopctl: an interpreter of a development environment brings them by itself.
NOT_OURS = {"coopctl", "setuptools", "certifi"}


def test_every_library_is_taken_with_its_version_and_hashes() -> None:
    taken = locked_requirements(LOCK.read_text())
    assert [line.partition("==")[0] for line in taken.splitlines() if "==" in line] == list(LIBRARIES)
    assert taken.count("--hash=sha256:") >= len(LIBRARIES)


def test_a_lock_without_one_of_them_is_refused() -> None:
    with pytest.raises(NotFound, match="lacks annotated-types, boto3"):
        locked_requirements("click==8.5.1 \\\n    --hash=sha256:00\n")


def test_a_wheel_is_named_in_the_bill_of_materials_by_its_file(tmp_path: Path) -> None:
    wheel = tmp_path / "psycopg_binary-3.3.1-cp311-cp311-manylinux2014_x86_64.whl"
    wheel.write_bytes(b"content")
    part = wheel_part(wheel)
    assert (part.name, part.version, part.python) == ("psycopg-binary", "3.3.1", True)
    assert part.sha256 == hashlib.sha256(b"content").hexdigest()


def test_what_a_migration_imports_is_in_the_image() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - NOT_OURS <= set(LIBRARIES)
