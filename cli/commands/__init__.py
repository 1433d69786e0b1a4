"""One module per verb: options, one call into provisioner, one view."""
