"""The Pulumi policy pack and the admission policies, both made from provisioner.rules."""
