"""The command line: parsing, wiring, showing.

The only place that knows click and rich. A command is options, one call into
provisioner and one view; it decides nothing about cooperatives.
"""
