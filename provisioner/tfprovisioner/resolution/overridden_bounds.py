"""The catalogue's bounds that give way to versions that the user names."""

from collections.abc import Iterable

from packaging.requirements import Requirement

from tfprovisioner.catalogue import pins
from tfprovisioner.catalogue.pins import Rule
from tfprovisioner.requirements.lines import LIMIT, holding


def overridden(lines: Iterable[str], tensorflow: str, python: str) -> list[Rule]:
    """The bounds that lines of the user's are beyond, of those with which TensorFlow is still imported."""
    named: dict[str, list[Requirement]] = {}
    for _, name, requirement in holding((line.removeprefix(LIMIT) for line in lines), python):
        named.setdefault(name, []).append(requirement)
    free = [*(rule for rule in pins.BOUNDS if rule.later), *pins.COMPANIONS]
    rules = [(rule, Requirement(rule.requirement)) for rule in pins.applying(free, tensorflow)]
    return [rule for rule, bound in rules if any(_beyond(one, bound) for one in named.get(bound.name, ()))]


def _beyond(asked: Requirement, bound: Requirement) -> bool:
    """Whether its exact version, or one of its lower ends, is outside of the bound."""
    ends = (one.version.removesuffix(".*") for one in asked.specifier if one.operator in ("==", "===", "~=", ">=", ">"))
    return any(not bound.specifier.contains(end, prereleases=True) for end in ends)
