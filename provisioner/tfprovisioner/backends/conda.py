"""The backend ``conda``: conda packages; or conda's Python and wheels, for releases that the channels lack."""

import re
from pathlib import Path

from tfprovisioner import cuda, rules
from tfprovisioner.backends import wheels
from tfprovisioner.conda import channels, installing
from tfprovisioner.conda.prefixes import Lacking, Subject, Wanted
from tfprovisioner.errors import BuildFailed
from tfprovisioner.plan import Plan
from tfprovisioner.progress import Reporter
from tfprovisioner.rules import Rule

_NAMES = {"matplotlib": "matplotlib-base"}
"""Where conda's name for the same thing is another one."""


def create(plan: Plan, folder: Path, report: Reporter) -> None:
    """Makes the environment in ``folder``. Raises ``BuildFailed``."""
    taken = channels.chosen(plan.order.channels)
    python = f"python={plan.interpreter.version}"
    if plan.recipe.gpu:  # TensorFlow's own builds, and conda's CUDA where there are no wheels of it
        installing.fill(folder, Wanted(taken, (python, *cuda.by_conda(plan.release))), plan.order.conda, report)
        wheels.install(plan, folder, report)
        return
    specs = (python, f"tensorflow=={plan.release.version}", *_requirements(rules.WITH, plan), *_extras(plan))
    subject = Subject("tensorflow", plan.release.version, plan.recipe.python)
    try:
        wanted = Wanted(taken, specs, _requirements(rules.BOUNDS, plan), subject)
        installing.fill(folder, wanted, plan.order.conda, report)
    except Lacking as lack:
        report.note(f"{lack}. It is made of conda's Python and wheels instead")
        installing.fill(folder, Wanted(taken, (python,)), plan.order.conda, report)
        wheels.install(plan, folder, report)


def _requirements(table: tuple[Rule, ...], plan: Plan) -> tuple[str, ...]:
    """What ``rules`` say of a release, as conda writes it: without environment markers."""
    applying = rules.applying(table, plan.release.version)
    requirements = (rule.requirement.partition(";")[0].strip() for rule in applying)
    return tuple(_NAMES.get(requirement, requirement) for requirement in requirements)


def _extras(plan: Plan) -> tuple[str, ...]:
    for extra in plan.recipe.extras:
        if not re.fullmatch(r"[A-Za-z0-9._-]+\s*([<>=!~][^;@\[\]]*)?", extra):
            raise BuildFailed(f"{extra!r} is more than a name and versions, which is all that conda understands.")
    return tuple(re.sub(r"\s+", "", extra).lower() for extra in plan.recipe.extras)
