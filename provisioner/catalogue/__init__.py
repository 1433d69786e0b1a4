"""The solutions on offer: charts/ read into values, images pinned by digest and built, charts rendered offline.

Nothing about tenants beyond the values that a chart is rendered with. Modules that run programs say so in
their first line; all others only compute or read files.
"""

from provisioner.catalogue.loading import load_catalogue, shipped_charts
from provisioner.catalogue.solution import Catalogue, Category, Solution

__all__ = ["Catalogue", "Category", "Solution", "load_catalogue", "shipped_charts"]
