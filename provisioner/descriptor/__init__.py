"""From text to meaning: documents are loaded with line numbers, checked, resolved with their template.

Here belong the documents' schemas, diagnostics, templates and the frozen values
(Cooperative, Platform, DataStoreMigration) that all other parts work with. No names of resources, no Kubernetes.
"""
