"""Our Pulumi resource provider (`coopctl:postgres:*`, `coopctl:objects:*`) and its typed resources.

Translates between Pulumi's protocol and provisioner.datastore; holds no SQL and no S3 call itself. The pulumi CLI
starts it as a plugin (plugin.py); programs declare its resources (resources.py).
"""

from stacks.provider.plugin import PLUGIN_NAME, VERSION, executable

__all__ = ["PLUGIN_NAME", "VERSION", "executable"]
