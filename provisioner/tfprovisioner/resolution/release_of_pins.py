"""Which of several releases goes together with the user's other lines: the metadata of TensorFlow decide."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

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
    """The first release with its Pythons that the lines go together with; of each release line one is tried."""
    tried = set[str]()
    for release, minors in fitting:
        if release.line not in tried:
            tried.add(release.line)
            for minor in minors:
                refusal = _refusal(release, minor, lines)
                if refusal is None:
                    return release, minors if minor == minors[0] else [minor]
                if not re.search(_OF_A_PYTHON, refusal):
                    break
    return None


def _refusal(release: Release, python: str, lines: Sequence[str]) -> str | None:
    """What uv says if no versions of TensorFlow's own requirements are allowed by the lines; ``None`` if some are.

    The other packages only limit these, so that it takes a second. Those with requirements of TensorFlow's kind count.
    """
    packages, limits = divided(map(without_hashes, lines))
    asked = [line for line in packages if name_of(line).startswith(_OF_ITS_KIND)]
    limits += [line for line in packages if line not in asked]
    named, absent = {name_of(line) for line in (*packages, *limits)}, set[str]()
    options = uv.for_python(None, python)
    builds = SourceBuilds(dict(row.split("==") for row in source_builds.known(release, asked, python)), python)
    while True:
        overrides = [*release.overrides, *(f"{name} ; python_version < '0'" for name in sorted(absent))]
        try:
            with tempfile.TemporaryDirectory() as folder:
                wanted = [f"tensorflow=={release.version}", *asked]
                uv_resolution.resolve(wanted, limits, overrides, options, Path(folder), lambda _: None, builds)
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
