"""``python -m provisioner.embedded.node.ingress``: the controller's process."""

import argparse
import logging
from pathlib import Path

from provisioner.embedded.node.ingress.controller import Nginx, run


def main() -> None:
    """Parse the arguments and control."""
    parser = argparse.ArgumentParser(description="Feeds nginx from the Ingresses of the class coopctl.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="nginx's configuration, pid and temporary files")
    parser.add_argument("--port", type=int, required=True, help="the port on loopback that nginx serves")
    parser.add_argument("--status-only", action="store_true", help="serve nothing: the pods are simulated")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    nginx = None if arguments.status_only else Nginx(folder=arguments.folder, port=arguments.port)
    run(kubeconfig=arguments.kubeconfig, nginx=nginx, ready=arguments.folder / "controller.ready")


if __name__ == "__main__":
    main()
