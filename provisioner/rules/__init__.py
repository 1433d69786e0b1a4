"""Pure predicates over manifests, each with id, severity, reason, source and remedy.

One source for every place that judges an object: `coopctl policy check`, the Pulumi policy pack, and the admission
policies of the cluster (as CEL beside the Python predicate; a table test holds both to the same verdict). No I/O.
"""
