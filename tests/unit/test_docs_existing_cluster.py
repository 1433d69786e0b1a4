"""The platform.yaml that the how-to shows is valid."""

import re
from pathlib import Path

from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_platform

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "existing-cluster.md"


def test_the_platform_of_the_how_to_is_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "platform.yaml").write_text(block, encoding="utf-8")

    platform = load_platform(Estate(root=tmp_path))

    assert not platform.embedded
    assert platform.postgres.admin_password.env == "COOPCTL_POSTGRES_PASSWORD"
    assert platform.dns.namespace == "kube-system"
