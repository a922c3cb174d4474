"""Dependencies as Poetry writes them, in pip's words: ``^1.13`` is ``>=1.13,<2.0``."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Table = Mapping[str, Any]


class Dependency(NamedTuple):
    """One dependency of a project."""

    word: str
    """It is on the line of the file where the dependency stands."""
    line: str | None
    """As in a requirement file; ``None`` if an index of its own has the package."""


def dependencies(tool: Table) -> list[Dependency]:
    """Those of ``[tool.poetry.dependencies]`` without the optional ones; the Python is among them."""
    return [one for name, constraint in tool.get("dependencies", {}).items() for one in _lines(name, constraint)]


def groups(tool: Table) -> dict[str, list[Dependency]]:
    """Groups and extras by name."""
    tables = {name: group.get("dependencies", {}) for name, group in tool.get("group", {}).items()}
    if "dev-dependencies" in tool:
        tables["dev"] = tool["dev-dependencies"]
    for name, packages in tool.get("extras", {}).items():
        tables[name] = {package: tool["dependencies"][package] for package in packages}
    return {
        name: [one for package, constraint in table.items() for one in _lines(package, constraint, optional=True)]
        for name, table in tables.items()
    }


def _lines(name: str, constraints: Any, optional: bool = False) -> Iterator[Dependency]:
    for constraint in constraints if isinstance(constraints, list) else [constraints]:
        facts = constraint if isinstance(constraint, Mapping) else {"version": constraint}
        path = facts.get("path") or facts.get("file")
        if path:
            yield Dependency(name, f"./{path}")
        elif "source" in facts:
            yield Dependency(name, None)
        elif optional or not facts.get("optional"):
            try:
                line = f"python{_specifier(facts['version'])}" if name == "python" else _requirement(name, facts)
            except ValueError:
                line = f"{name} {facts.get('version', constraint)}"  # is no requirement, and its reader says so
            yield Dependency(name, line)


def _requirement(name: str, facts: Table) -> str:
    from poetry.core.factory import Factory

    plain = {key: value for key, value in facts.items() if key != "optional"}
    if "version" in plain:
        plain["version"] = _specifier(plain["version"], around=True) or "*"
    return re.sub(r" \(([^)]*)\)", r"\1", Factory.create_dependency(name, plain).to_pep_508(), count=1)


def _specifier(constraint: str, around: bool = False) -> str:
    """In pip's words; of alternatives, which pip has no words for, perhaps the range ``around`` them."""
    from poetry.core.constraints.version import VersionRange, VersionUnion, parse_constraint

    parsed = parse_constraint(constraint)
    if around and isinstance(parsed, VersionUnion) and not parsed.excludes_single_version:
        first, last = parsed.ranges[0], parsed.ranges[-1]
        parsed = VersionRange(first.min, last.max, first.include_min, last.include_max)
    return "" if parsed.is_any() else str(parsed)
