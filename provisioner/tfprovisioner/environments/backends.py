"""What makes environments. A backend fills an empty folder with a Python, TensorFlow and what a kernel needs.

It is one function ``create(plan, folder, report)`` that raises ``BuildFailed``; it need not clean up. It says whether
the package index had to be asked, because not all was in uv's cache or a folder of wheels.
"""

from collections.abc import Callable
from pathlib import Path

from tfprovisioner.environments import conda_packages, wheels
from tfprovisioner.environments.plan import Plan
from tfprovisioner.progress import Reporter

BACKENDS: dict[str, Callable[[Plan, Path, Reporter], bool]] = {"uv": wheels.create, "conda": conda_packages.create}
