"""Where, and by how much, two values differ. NumPy only, nothing of Jupyter; reads each array once.

``compare`` walks through two values (``parts``, ``values``), computes ``Statistics`` of each pair of arrays
(``floats``, ``exact``, ``ulps``, ``sample``) in stretches (``blocks``), judges them by ``tolerances``, and returns
``results`` that show themselves (``text``, ``page``, ``figures``).
"""

from tfkernels.comparison.api import compare
from tfkernels.comparison.result import Comparison, Extreme, NonFinite, Part, Sample, Statistics
from tfkernels.comparison.tolerances import DEFAULTS, Tolerance

__all__ = ["DEFAULTS", "Comparison", "Extreme", "NonFinite", "Part", "Sample", "Statistics", "Tolerance", "compare"]
