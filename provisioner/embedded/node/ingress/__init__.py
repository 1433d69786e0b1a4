"""The ingress of the embedded platform: Debian's nginx as a host process, fed from Ingress objects.

routing.py decides what is served, rendering.py writes nginx's configuration, controller.py watches and reloads,
server.py describes the two processes. In front of a simulated node there is no nginx: nothing answers there, and the
controller only says in the Ingresses' status where they are served.
"""

from provisioner.embedded.node.ingress.server import end_leftover_workers, prepare, processes, status_process

__all__ = ["end_leftover_workers", "prepare", "processes", "status_process"]
