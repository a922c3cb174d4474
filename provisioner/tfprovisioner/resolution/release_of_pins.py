"""Which of several releases goes together with the user's other lines: the metadata of TensorFlow decide."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfprovisioner.catalogue import releases
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.errors import BuildFailed
from tfprovisioner.requirements.lines import divided, name_of, without_hashes
from tfprovisioner.resolution import source_builds, uv_resolution
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.resolution.uv_resolution import NoSolution
from tfprovisioner.system import uv

_OF_ITS_KIND = ("keras", "tensor", "tf")

_UNUSABLE = re.compile(r"([A-Za-z0-9][\w.-]*?)(?:[=<>]=?\S*)? ha(?:s|ve) (?:no [^.]*?wheels|invalid metadata)")
"""In uv's words, with single spaces."""

_OF_A_PYTHON = "wheel|[Pp]ython"
"""In uv's words, if they may differ on another Python."""


def newest(fitting: Sequence[tuple[Release, list[str]]], lines: Sequence[str]) -> tuple[Release, list[str]] | None:
    """The first release with its Pythons that the lines go together with; of each release line one is tried.

    After the first refusal, uv is asked for all others of a Python at once: mostly none fits for the same reason.
    """
    left: dict[str, tuple[Release, list[str]]] = {}
    for release, minors in fitting:
        left.setdefault(release.line, (release, list(minors)))
    looked = False
    while left:
        release, minors = next(iter(left.values()))
        for minor in minors:
            refusal = _refusal([release], minor, lines, cached=looked)
            if refusal is None:
                return release, minors if minor == minors[0] else [minor]
            if not re.search(_OF_A_PYTHON, refusal):
                break
        del left[release.line]
        left = left if looked else _possible(left, lines)
        looked = True
    return None


def _possible(
    left: Mapping[str, tuple[Release, list[str]]], lines: Sequence[str]
) -> dict[str, tuple[Release, list[str]]]:
    """The releases by line, without those and their Pythons that uv refuses together."""
    found, open_ = dict(left), dict(left)
    while open_:
        pythons = [minor for _, minors in open_.values() for minor in minors]
        minor = max(dict.fromkeys(pythons), key=pythons.count)
        some = {line: one for line, one in open_.items() if minor in one[1]}
        open_ = {line: one for line, one in open_.items() if line not in some}
        refusal = _refusal([release for release, _ in some.values()], minor, lines, cached=True)
        for line in some if refusal is not None else ():
            release, minors = found.pop(line)
            others = [other for other in minors if other != minor]
            if others and re.search(_OF_A_PYTHON, refusal or ""):
                found[line] = open_[line] = release, others
    return dict(sorted(found.items(), key=lambda one: list(left).index(one[0])))


def _refusal(wanted: Sequence[Release], python: str, lines: Sequence[str], cached: bool) -> str | None:
    """What uv says if the lines allow none of some releases with what they require; ``None`` if they allow one.

    The other packages only limit these, so that it takes a second. Those with requirements of TensorFlow's kind count.
    ``cached``: uv's cache is asked first, because the index was asked for the same packages a moment ago.
    """
    packages, limits = divided(map(without_hashes, lines))
    asked = [line for line in packages if name_of(line).startswith(_OF_ITS_KIND)]
    limits += [line for line in packages if line not in asked]
    named, absent = {name_of(line) for line in (*packages, *limits)}, set[str]()
    known = (row for release in wanted for row in source_builds.known(release, asked, python))
    builds = SourceBuilds(dict(row.split("==") for row in known), python)
    own = dict.fromkeys(override for release in wanted for override in release.overrides)

    def resolve(*options: str) -> None:
        overrides = [*own, *(f"{name} ; python_version < '0'" for name in sorted(absent))]
        with tempfile.TemporaryDirectory() as folder:
            uv_resolution.resolve(
                [_any_of(wanted), *asked], limits, overrides, [*uv.for_python(None, python), *options], Path(folder),
                lambda _: None, builds,
            )  # fmt: skip

    while True:
        try:
            _by_cache_first(resolve) if cached else resolve()
        except NoSolution as error:
            words = " ".join(error.output.split())
            unusable = {name_of(found[1]) for found in _UNUSABLE.finditer(words)}
        except BuildFailed:
            return None  # nothing is known; the installation says what failed
        else:
            return None
        moved = [line for line in asked if name_of(line) in unusable]
        further = unusable - named - absent
        if not moved and not further:
            return words
        asked, limits = [line for line in asked if line not in moved], [*limits, *moved]
        absent |= further


def _by_cache_first(resolve: Callable[..., None]) -> None:
    try:
        resolve("--offline")
    except NoSolution:
        raise
    except BuildFailed:  # something is not in uv's cache
        resolve()


def _any_of(wanted: Sequence[Release]) -> str:
    """A requirement that allows some releases, and no others that the catalogue knows."""
    versions = [release.version for release in wanted]
    if len(versions) == 1:
        return f"tensorflow=={versions[0]}"
    order = [release.version for release in releases.releases()]
    numbers = sorted(map(order.index, versions))
    between = order[numbers[0] : numbers[-1] + 1]
    others = [f"!={version}" for version in between if version not in versions]
    return f"tensorflow{','.join([f'>={between[0]}', f'<={between[-1]}', *others])}"
