"""Why a package cannot be had together with a release, in words that say which requirement met which pin."""

import re
from collections.abc import Mapping, Sequence

from packaging.requirements import Requirement

from tfprovisioner.errors import BadRequirement
from tfprovisioner.packages import normalized


def check(extras: Sequence[str], pins: Mapping[str, str], release: str) -> None:
    """Raises ``BadRequirement`` if a requirement is for a package that is pinned to another version."""
    for line in extras:
        requirement = Requirement(line)
        pin = pins.get(normalized(requirement.name))
        holds = requirement.marker is None or requirement.marker.evaluate()
        if holds and pin is not None and not requirement.specifier.contains(pin, prereleases=True):
            raise BadRequirement(
                f"{line!r} cannot be had: TensorFlow {release} was verified together with "
                f"{requirement.name}=={pin}, and what was verified wins. Leave {requirement.name} out, or choose a "
                f"release that goes with it: tfkernels releases. In the kernel, !pip install overrides what was "
                f"verified, and doctor tells it."
            )


def explained(output: str, extras: Sequence[str], pins: Mapping[str, str], release: str, python: str) -> str | None:
    """What uv's report that there is no solution means; ``None`` if it is no such report."""
    if not re.search(r"No solution found|requirements are unsatisfiable", output):
        return None
    words = {normalized(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*", output)}
    culprits = [line for line in extras if normalized(Requirement(line).name) in words]
    asked = " and ".join(repr(line) for line in culprits or extras)
    tail = f"uv said:\n{output.partition('It said:')[2].strip() or output}"
    met = [
        name
        for name, pin in pins.items()
        if re.search(rf"(?m)\b{re.escape(name)}(\{{[^}}]*\}})?=={re.escape(pin)}", output)
    ]
    if met:
        needs = "; ".join(_need(name, output) or f"another {name}" for name in met)
        pinned = ", ".join(f"{name}=={pins[name]}" for name in met)
        return (
            f"{asked} cannot be had together with TensorFlow {release}: it needs {needs}, and TensorFlow was verified "
            f"with {pinned}, which wins. Ask for it without a lower bound, so that the newest version that fits is "
            f"taken, or for another release of TensorFlow. {tail}"
        )
    if "was not found in the package registry" in output:
        return f"{asked}: there is no package of that name in the package index. Correct the name. {tail}"
    return (
        f"{asked} cannot be had: no version of it that fits has a wheel for Python {python}, which TensorFlow "
        f"{release} runs on. Ask for it without a lower bound, so that the newest version that fits is taken. {tail}"
    )


def _need(name: str, output: str) -> str | None:
    found = re.search(rf"depends? on ({re.escape(name)}[<>=!~][^\s]*?),?(\s|$)", output)
    return found[1].rstrip(",.") if found else None
