"""Every bad chart."""

from tests.bad_charts.files import FILES
from tests.bad_charts.objects import OBJECTS
from tests.bad_charts.pods import PODS

BAD_CHARTS = (*PODS, *OBJECTS, *FILES)
