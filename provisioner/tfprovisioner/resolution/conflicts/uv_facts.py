"""The facts in uv's explanation of a failed resolution: what a package needs, and what it lacks.

The explanation is English text, made of a few kinds of sentences. A sentence of another kind gives no fact.
"""

import re
from dataclasses import dataclass

ROOT = "environment"
"""uv's name for what requires the lines, ours and the user's."""

_NAME = r"(?!(?:all|any|only|the|there|we|you)\b)[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[^\]\s]+\])?"
_VERSIONS = r"[<>=!~]=?=?[^\s,]+(?:,[<>=!~]=?=?[^\s,]+)*"
_ONE = rf"(?P<name>{_NAME})(?P<versions>{_VERSIONS})?"
_WHO = rf"(?:all of: (?P<several>{_NAME})\S* (?:\S+ )*?|(?:all versions of )?{_ONE} )"
_NEEDS = re.compile(
    rf"{_WHO}depends? on (?P<first>{_NAME}(?:{_VERSIONS})?)"
    rf"(?: and (?!\S+ (?:depend|has |have |was |cannot ))(?P<second>{_NAME}(?:{_VERSIONS})?)(?=,|\.?(?:\s|$)))?"
)
_LACKS = (
    ("wheel", re.compile(rf"{_WHO}ha(?:s|ve) no (?:usable|compatible) wheels?")),
    ("metadata", re.compile(rf"{_WHO}ha(?:s|ve) (?:invalid|inconsistent) metadata")),
    ("package", re.compile(rf"{_WHO}was not found in")),
    ("version", re.compile(rf"there (?:is|are) no versions? of (?P<several>){_ONE}")),
    ("use", re.compile(rf"{_WHO}cannot be used")),
)
_CONCLUSION = re.compile(r"we can conclude that (.*?)\.?(?= And because | Because | \(\d+\)|\s*$)")
_REFERENCE = re.compile(r"we know from \(\d+\) that .*?(?= and |, *$|, \.)")


@dataclass(frozen=True)
class Fact:
    """One thing that uv knows of some versions of a package."""

    name: str
    versions: str
    """A specifier, ``==1.0``; empty for all that there are, ``...`` for several."""
    needs: str = ""
    """A requirement, ``numpy>=1.16``; ``Python>=3.8``."""
    lacks: str = ""
    """``wheel`` for this Python, ``version`` in the index, ``package`` of the name, valid ``metadata``; ``use`` if none
    can be used."""


def facts(output: str) -> tuple[Fact, ...]:
    """What uv read in the index, in its order."""
    return _found(_REFERENCE.sub("", _CONCLUSION.sub(". ", _words(output))))


def conclusions(output: str) -> tuple[Fact, ...]:
    """What uv concluded from its facts, in its order."""
    return tuple(fact for text in _CONCLUSION.findall(_words(output)) for fact in _found(text))


def _words(output: str) -> str:
    words = " ".join(output.split()).partition(" hint: ")[0]  # uv breaks its lines where it likes
    return re.sub(r"(?<=\S)\{[^}]*\}", "", words)  # markers


def _found(text: str) -> tuple[Fact, ...]:
    found: list[tuple[int, Fact]] = []
    for match in _NEEDS.finditer(text):
        both = filter(None, (match["first"], match["second"]))
        found += [(match.start(), Fact(*_who(match), needs=needs)) for needs in both]
    for lacks, pattern in _LACKS:
        found += [(match.start(), Fact(*_who(match), lacks=lacks)) for match in pattern.finditer(text)]
    return tuple(dict.fromkeys(fact for _, fact in sorted(found, key=lambda one: one[0])))


def _who(match: re.Match[str]) -> tuple[str, str]:
    return (match["several"], "...") if match["several"] else (match["name"], match["versions"] or "")
