"""Where, and by how much, two values differ. NumPy only, nothing of Jupyter; Python 3.7 and newer.

``compare`` walks through two values and computes statistics of each pair of arrays (``statistics``); ``render`` shows
what came out. Notebooks, ``tfkernels.compare`` and the report of a batch import it.
"""

from tfkernels.comparison.api import Comparison, compare
from tfkernels.comparison.result import Extreme, NonFinite, Part, Sample, Statistics
from tfkernels.comparison.tolerances import DEFAULTS, Tolerance

__all__ = ["DEFAULTS", "Comparison", "Extreme", "NonFinite", "Part", "Sample", "Statistics", "Tolerance", "compare"]
