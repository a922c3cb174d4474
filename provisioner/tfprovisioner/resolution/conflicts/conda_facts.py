"""The facts in the conda solver's explanation of a failure: what a package needs, and what the channels lack.

The explanation is a tree of English sentences, of a few kinds. A sentence of another kind gives no fact.
"""

import re
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement

from tfprovisioner.resolution.conflicts.uv_facts import Fact

_NEEDS = re.compile(r"(?P<name>\S+) (?P<versions>\S+(?: \| \S+)*) would (?:require|constrain)$")
_SPEC = re.compile(r"(?P<spec>.+?),? (?:for which|which|can be|cannot be) ")
_ABSENT = re.compile(r"No candidates were found for (?P<spec>.+?)\.?$")


def facts(output: str) -> tuple[Fact, ...]:
    """What the solver read in the channels, in its order."""
    found: list[Fact] = []
    above: list[tuple[int, Fact | None]] = []  # the branches of a line, with the packages that need what is below
    for line in output.splitlines():
        text = line.lstrip(" │├└─")
        indent = len(line) - len(text)
        above = [branch for branch in above if branch[0] < indent]
        package = above[-1][1] if above else None
        absent, needs, spec = _ABSENT.search(text), _NEEDS.match(text), _SPEC.match(text)
        if absent:
            name, versions = _requirement(absent["spec"])
            found.append(Fact(name, versions, lacks="version" if versions else "package"))
        elif package and spec:
            found.append(replace(package, needs="".join(_requirement(spec["spec"]))))
        versions = "" if not needs else "..." if "|" in needs["versions"] else f"=={needs['versions']}"
        above.append((indent, Fact(needs["name"], versions) if needs else None))
    return tuple(dict.fromkeys(fact for fact in found if _is_requirement(fact.needs or fact.name)))


def _requirement(spec: str) -> tuple[str, str]:
    """The name and the versions of a specification of conda's in pip's words."""
    name, *more = spec.split()
    parts = [part for part in "".join(more[:1]).split(",") if part.strip("*")]
    return "Python" if name in ("python", "python_abi") else name, ",".join(map(_versions, parts))


def _versions(part: str) -> str:
    """``3.7.*`` and ``=3.7`` are ``==3.7.*``."""
    if part.startswith(("=", "~")) and not part.startswith(("==", "~=")):
        part = f"{part[1:].removesuffix('.*')}.*"
    if part[0] in "<>!=~":
        return part if part.startswith(("==", "!=")) else part.removesuffix(".*")
    return f"=={part.removesuffix('*').removesuffix('.')}.*" if part.endswith("*") else f"=={part}"


def _is_requirement(text: str) -> bool:
    """Whether pip can read it: conda has more kinds of names and versions."""
    try:
        return bool(Requirement(text))
    except InvalidRequirement:
        return False
