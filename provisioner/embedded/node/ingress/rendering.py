"""Pure: nginx's configuration for the sites. Every text in it is quoted by one filter, whatever routing let through."""

import re
from collections.abc import Sequence
from pathlib import Path

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded.node.ingress.routing import Site

TEMPLATE = "nginx.conf.j2"


def render(sites: Sequence[Site], *, port: int, folder: Path) -> str:
    """nginx's whole configuration: ``port`` on loopback, ``folder`` for its pid and temporary files."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - this is no HTML: the filter `word` is the escaping, tested on hostile input
    )
    environment.filters["word"] = word
    environment.filters["server_name"] = server_name
    pods = dict.fromkeys(location.servers for site in sites for location in site.locations if location.servers)
    names = {servers: f"pods_{number}" for number, servers in enumerate(pods)}
    return environment.get_template(TEMPLATE).render(
        sites=sites,
        names=names,
        upstreams={name: servers for servers, name in names.items()},
        port=port,
        source=BRIDGE_ADDRESS,
        folder=folder,
        pid=folder / "nginx.pid",
        body=folder / "body",
        proxy=folder / "proxy",
    )


def word(text: object) -> str:
    """One quoted word of nginx's configuration.

    Inside double quotes only backslash and quote are special to nginx's parser; control characters and the dollar
    sign, which some directives expand, have no form there at all and are refused.
    """
    plain = str(text)
    if re.search(r"[\x00-\x1f\x7f$]", plain) and not plain.startswith("~"):
        raise ValueError(f"{plain!r} cannot stand in nginx's configuration")
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def server_name(host: str) -> str:
    """A host for ``server_name``; a wildcard covers exactly one label (Ingress v1), unlike nginx's own."""
    return rf"~^[^.]+\.{re.escape(host[2:])}$" if host.startswith("*.") else host
