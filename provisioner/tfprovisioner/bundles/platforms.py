"""The platforms that bundles can be made for, in the words of wheels, of uv and of conda."""

from collections.abc import Iterator
from dataclasses import dataclass

from packaging import tags
from packaging.tags import Tag

from tfprovisioner.errors import Unusable

_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_GLIBC = 28
"""The wheels of a bundle run with glibc 2.28 (2018), as conda-forge's packages and TensorFlow 2.21 do."""
_MACOS = (13, 0)
"""What uv takes for macOS, too."""


@dataclass(frozen=True)
class Platform:
    """One kind of machine."""

    name: str
    """As in ``Release.platforms``."""
    uv: str
    """The value of uv's ``--python-platform``."""
    python: str
    """The end of uv's names for its interpreters."""
    conda: str
    """The subdirectory of conda's channels."""
    system: tuple[str, ...]
    """Conda's virtual packages: the least that such a machine has."""

    def tags(self, python: str) -> Iterator[Tag]:
        """The tags of wheels for a CPython (minor version), the best first."""
        numbers = tuple(int(number) for number in python.split("."))
        names = list(self._tag_names())
        yield from tags.cpython_tags(numbers, platforms=names)
        yield from tags.compatible_tags(numbers, f"cp{''.join(map(str, numbers))}", names)

    def _tag_names(self) -> Iterator[str]:
        system, _, machine = self.name.partition("-")
        if system == "macos":
            yield from tags.mac_platforms(_MACOS, machine)
            return
        for minor in range(_GLIBC, 4, -1):
            yield f"manylinux_2_{minor}_{machine}"
            if minor in _OLD_NAMES:
                yield f"{_OLD_NAMES[minor]}_{machine}"
        yield f"linux_{machine}"


_LINUX = ("__unix=0=0", "__linux=5.0=0", f"__glibc=2.{_GLIBC}=0")
_MAC = ("__unix=0=0", f"__osx={_MACOS[0]}.{_MACOS[1]}=0")
PLATFORMS = {
    platform.name: platform
    for platform in (
        Platform("linux-x86_64", "x86_64-manylinux_2_28", "linux-x86_64-gnu", "linux-64", _LINUX),
        Platform("linux-aarch64", "aarch64-manylinux_2_28", "linux-aarch64-gnu", "linux-aarch64", _LINUX),
        Platform("macos-x86_64", "x86_64-apple-darwin", "macos-x86_64-none", "osx-64", _MAC),
        Platform("macos-arm64", "aarch64-apple-darwin", "macos-aarch64-none", "osx-arm64", _MAC),
    )
}


def find(name: str) -> Platform:
    """The platform of a name. Raises ``Unusable``."""
    if name not in PLATFORMS:
        raise Unusable(f"There are no bundles for {name!r}. Choose one with --platform: {', '.join(PLATFORMS)}.")
    return PLATFORMS[name]
