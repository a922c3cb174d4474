"""Why a package cannot be had together with a release, in words that say which requirement met which pin."""

import re
from collections.abc import Mapping, Sequence

from packaging.requirements import Requirement

from tfprovisioner.environments import markers
from tfprovisioner.environments.installed import TENSORFLOWS, normalized
from tfprovisioner.errors import BadRequirement


def check(extras: Sequence[str], pins: Mapping[str, str], release: str, python: str) -> None:
    """Raises ``BadRequirement`` if a requirement that holds for a Python is for a package pinned to another version."""
    for line in extras:
        requirement = Requirement(line)
        name = normalized(requirement.name)
        if name not in pins or not markers.holds(requirement, python):
            continue
        fits = requirement.specifier.contains(pins[name], prereleases=True)
        if name in TENSORFLOWS:
            # A wheel by its address may be anything, and no release is a nightly one.
            if requirement.url or name == "tf-nightly" or not fits:
                raise BadRequirement(_another_tensorflow(line, requirement, release))
        elif not fits:
            raise BadRequirement(
                f"{line!r} cannot be had: TensorFlow {release} was verified together with "
                f"{requirement.name}=={pins[name]}, and what was verified wins. Leave {requirement.name} out, or "
                f"choose a release that goes with it: tfkernels releases. In the kernel, !pip install overrides what "
                f"was verified, and doctor tells it."
            )


def _another_tensorflow(line: str, requirement: Requirement, release: str) -> str:
    exact = re.fullmatch(r"===?([\d.]+(?:post\d+)?)", str(requirement.specifier))
    command = f"tfkernels install {exact[1]}" if exact else "tfkernels releases"
    return (
        f"{line!r} cannot be had: this kernel is one of TensorFlow {release}, and there is one TensorFlow in an "
        f"environment. Leave the line out (--without {requirement.name}, if the kernel was made with it), or make a "
        f"kernel of the other release: {command}"
    )


def explained(output: str, extras: Sequence[str], pins: Mapping[str, str], release: str, python: str) -> str | None:
    """What uv's report that there is no solution means; ``None`` if it is no such report."""
    if not re.search(r"No solution found|requirements are unsatisfiable", output):
        return None
    words = {normalized(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*", output)}
    culprits = [line for line in extras if normalized(Requirement(line).name) in words]
    asked = " and ".join(repr(line) for line in culprits or extras)
    tail = f"uv said:\n{output.partition('It said:')[2].strip() or output}"
    unknown = re.search(r"(\S+) was not found in the package registry", output)
    if unknown is not None and normalized(unknown[1]) in pins:
        return None  # an index without TensorFlow's own packages: what uv says of that is the matter
    met = [name for name, pin in pins.items() if _met(name, pin, output)]
    if met:  # so that any other cause that was read from it is none
        tail = f"uv said:\n{re.split('(?:It|uv) said:', output)[-1].strip()}"
        needs = "; ".join(_need(name, output) or f"another {name}" for name in met)
        pinned = ", ".join(f"{name}=={pins[name]}" for name in met)
        return (
            f"{asked} cannot be had together with TensorFlow {release}: it needs {needs}, and TensorFlow was verified "
            f"with {pinned}, which wins. Ask for it without a lower bound, so that the newest version that fits is "
            f"taken, or for another release of TensorFlow. {tail}"
        )
    if unknown is not None:
        return f"{asked}: there is no package of that name in the package index. Correct the name. {tail}"
    return (
        f"{asked} cannot be had: no version of it that fits has a wheel for Python {python}, which TensorFlow "
        f"{release} runs on. Ask for it without a lower bound, so that the newest version that fits is taken. {tail}"
    )


def _met(name: str, pin: str, output: str) -> bool:
    """Whether a pin is among what uv found to be in the way; of what stands in for TensorFlow it says no version."""
    named = rf"(?<![\w.-]){re.escape(name)}(?![\w-])"
    absent = rf"no version of {named}|versions of {named} (is|are) available|only {named}\S* (is|are) available"
    found = rf"{named}(\{{[^}}]*\}})?=={re.escape(pin)}"
    return bool(re.search(f"{found}|{absent}" if name in TENSORFLOWS else found, output))


def _need(name: str, output: str) -> str | None:
    found = re.search(rf"depends? on ({re.escape(name)}[<>=!~][^\s]*?),?(\s|$)", output)
    return found[1].rstrip(",.") if found else None
