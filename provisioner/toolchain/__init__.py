"""Finds or builds the pinned tools: PATH, then the per-user cache, then a build from tools/.

Knows programs and versions, not what they are used for. What a machine must have besides the tools (system programs,
kernel, room) is checked here too, because the checks need nothing that lies above.
"""

from provisioner.toolchain.chain import Origin, Report, Tool, Toolchain

__all__ = ["Origin", "Report", "Tool", "Toolchain"]
