"""The backend ``conda``: conda packages; or conda's Python and wheels, for releases that the channels lack."""

from pathlib import Path

from packaging.requirements import Requirement

from tfprovisioner.catalogue import pins, releases
from tfprovisioner.catalogue.pins import Rule
from tfprovisioner.conda import channels, solve
from tfprovisioner.conda.channels import PackageRequest, Subject
from tfprovisioner.environments import markers, wheels
from tfprovisioner.environments import requirements as extras
from tfprovisioner.environments.plan import Plan
from tfprovisioner.errors import BuildFailed, PackageNotInChannels
from tfprovisioner.gpu import cuda
from tfprovisioner.progress import Reporter

_NAMES = {"matplotlib": "matplotlib-base"}
"""Where conda's name for the same thing is another one."""


def create(plan: Plan, folder: Path, report: Reporter) -> bool:
    """Makes the environment in ``folder``. Raises ``BuildFailed``."""
    taken = channels.chosen(plan.order.channels)
    python = f"python={plan.interpreter.version}"
    if plan.recipe.gpu:  # TensorFlow's own builds, and conda's CUDA where there are no wheels of it
        solve.fill(folder, PackageRequest(taken, (python, *cuda.by_conda(plan.release))), plan.order.conda, report)
        return wheels.install(plan, folder, report)
    # In the newest versions that go together: a channel's Python 3.7 ends with other ones than the wheels for it.
    asked, limits = extras.divided(plan.recipe.extras)
    beside = (requirement.name for requirement in _requirements(pins.WITH, plan))
    names = (_NAMES.get(name, name) for name in beside)
    specs = (python, f"tensorflow=={plan.release.version}", *names, *_specs(plan, asked))
    subject = Subject("tensorflow", plan.release.version, plan.recipe.python)
    try:
        bounds = tuple(map(str, _requirements(pins.BOUNDS, plan)))
        wanted = PackageRequest(taken, specs, bounds, subject, _specs(plan, limits))
        solve.fill(folder, wanted, plan.order.conda, report)
    except PackageNotInChannels as lack:
        if releases.platform_name() not in plan.release.platforms:
            raise BuildFailed(
                f"{lack}; nor has TensorFlow {plan.release.version} wheels for {releases.platform_name()}. Nothing "
                f"was changed. Name a channel that has it with --channel, or take another release: tfkernels releases"
            ) from lack
        report.note(f"{lack}. It is made of conda's Python and wheels instead")
        solve.fill(folder, PackageRequest(taken, (python,)), plan.order.conda, report)
        return wheels.install(plan, folder, report)
    return True  # or not: its programs do not say


def _requirements(table: tuple[Rule, ...], plan: Plan) -> list[Requirement]:
    """What ``rules`` say of a release on its Python."""
    applying = (Requirement(rule.requirement) for rule in pins.applying(table, plan.release.version))
    return [one for one in applying if markers.holds(one, plan.interpreter.version)]


def _specs(plan: Plan, lines: list[str]) -> tuple[str, ...]:
    """What users ask for in pip's words, in conda's; what is for other Pythons is left out. Raises ``BuildFailed``."""
    specs = []
    for line in lines:
        requirement = Requirement(line)
        if requirement.url or requirement.extras:
            raise BuildFailed(f"{line!r} is more than a name and versions, which is all that conda understands.")
        if markers.holds(requirement, plan.interpreter.version):
            specs.append(f"{requirement.name}{requirement.specifier}".lower())
    return tuple(specs)
