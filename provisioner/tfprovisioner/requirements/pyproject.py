"""``pyproject.toml``: the dependencies of a project, of chosen groups and extras, and its Python."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import pip_files, poetry
from tfprovisioner.requirements.file_content import Content, text_of
from tfprovisioner.requirements.poetry import Dependency

Table = Mapping[str, Any]

_ELSEWHERE = "the file takes it from another place than the index. Install it in a cell of the kernel: %pip install"

_SHAPE = (AttributeError, KeyError, TypeError, ValueError)
"""What tables raise that are not as the standard has them."""


class _Project(NamedTuple):
    name: str
    own: list[Any]
    """Requirements of pip's, dependencies of Poetry's, and tables that include a group."""
    groups: dict[str, list[Any]]
    """Groups and extras, by normalized name."""
    files: list[str]
    """Requirement files that its build takes the dependencies from."""
    elsewhere: frozenset[str]
    """Packages that uv takes from another place than an index."""


def read(path: Path, chosen: Iterable[str], content: Content) -> None:
    """Adds what a file asks for, with the ``chosen`` groups and extras. Raises ``BadRequirement``."""
    text = text_of(path)

    def place(word: str) -> str:
        lines = enumerate(text.splitlines(), 1)  # the parser does not tell them
        return next((f"{path}:{number}" for number, line in lines if word in line), str(path))

    try:
        project = _project(path, text)
        unknown = [name for name in chosen if canonicalize_name(name) not in project.groups]
        if unknown:
            has = ", ".join(sorted(project.groups)) or "none"
            raise BadRequirement(f"{path} has no group or extra {unknown[0]!r}. Choose of those that it has: {has}.")
        seen: set[str] = set()
        wanted = [*_expanded(project.own, project, seen), *_chosen(chosen, project, seen)]
    except _SHAPE as error:
        raise BadRequirement(f"The file {path} cannot be used: a table has an unknown form ({error!r}).") from error
    if not wanted and not project.files:
        groups = f" Choose groups: '{path}[{','.join(sorted(project.groups))}]'." if project.groups else ""
        raise BadRequirement(
            f"The file {path} cannot be used: it names no dependencies.{groups or ' Correct its path.'}"
        )
    for word, line in wanted:
        name = _requirement(line)
        if line is None or (name and canonicalize_name(name.name) in project.elsewhere):
            content.leave_out(repr(word), place(word), _ELSEWHERE)
        else:
            pip_files.read_line(line, place(word), content, path.parent)
    for file in project.files:
        pip_files.read(path.parent / file, text_of(path.parent / file), content)
    left = sorted(project.groups.keys() - seen)
    if left:
        content.leave_out(f"the groups {', '.join(left)}", str(path), f"choose them with '{path}[{','.join(left)}]'")


def _project(path: Path, text: str) -> _Project:
    whole = _parsed(path, text)
    project, tool = whole.get("project", {}), whole.get("tool", {})
    own = list(project.get("dependencies", ()))
    if "requires-python" in project:
        own.append(f"python{project['requires-python']}")
    groups = {**project.get("optional-dependencies", {}), **whole.get("dependency-groups", {})}
    if "poetry" in tool:
        own += poetry.dependencies(tool["poetry"])
        groups |= poetry.groups(tool["poetry"])
    dynamic = tool.get("setuptools", {}).get("dynamic", {}).get("dependencies", {}).get("file", [])
    return _Project(
        name=canonicalize_name(project.get("name", "")),
        own=own,
        groups={canonicalize_name(name): list(lines) for name, lines in groups.items()},
        files=[dynamic] if isinstance(dynamic, str) else list(dynamic),
        elsewhere=frozenset(map(canonicalize_name, tool.get("uv", {}).get("sources", {}))),
    )


def _parsed(path: Path, text: str) -> Table:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRequirement(f"The file {path} cannot be read as TOML: {error}. Correct it.") from error


def _chosen(names: Iterable[str], project: _Project, seen: set[str]) -> Iterator[Dependency]:
    for name in map(canonicalize_name, names):
        if name not in seen:
            seen.add(name)
            yield from _expanded(project.groups[name], project, seen)


def _expanded(lines: Iterable[Any], project: _Project, seen: set[str]) -> Iterator[Dependency]:
    """The requirements in place of tables, and of the project's own extras: ``all = ["project[gpu,plots]"]``."""
    for line in lines:
        if isinstance(line, Mapping):
            yield from _chosen([line["include-group"]], project, seen)
            continue
        one = line if isinstance(line, Dependency) else Dependency(line, line)
        requirement = _requirement(one.line)
        if requirement and requirement.extras and canonicalize_name(requirement.name) == project.name:
            yield from _chosen(requirement.extras, project, seen)
        else:
            yield one


def _requirement(line: str | None) -> Requirement | None:
    try:
        return Requirement(line) if line else None
    except InvalidRequirement:
        return None
