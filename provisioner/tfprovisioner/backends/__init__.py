"""What makes environments. A backend fills an empty folder with a Python, TensorFlow and what a kernel needs.

It is one function ``create(plan, folder, report)`` that raises ``BuildFailed``; it need not clean up. It says whether
anything had to be fetched: files that were not in a cache yet.
"""

from collections.abc import Callable
from pathlib import Path

from tfprovisioner.backends import conda, wheels
from tfprovisioner.plan import Plan
from tfprovisioner.progress import Reporter

BACKENDS: dict[str, Callable[[Plan, Path, Reporter], bool]] = {"uv": wheels.create, "conda": conda.create}
