"""The CUDA and cuDNN that a release was built and tested with.

From https://www.tensorflow.org/install/source#gpu; see docs/design/gpu.md for later releases.
"""

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet


@dataclass(frozen=True)
class Toolkit:
    """The libraries that releases (a PEP 440 specifier) want to find when they use a GPU."""

    releases: str
    cuda: str
    cudnn: str


TOOLKITS = (
    Toolkit(">=1.0,<1.3", "8.0", "5.1"),
    Toolkit(">=1.3,<1.5", "8.0", "6"),
    Toolkit(">=1.5,<1.13", "9.0", "7"),
    Toolkit(">=1.13,<2.1", "10.0", "7.4"),
    Toolkit(">=2.1,<2.4", "10.1", "7.6"),
    Toolkit(">=2.4,<2.5", "11.0", "8.0"),
    Toolkit(">=2.5,<2.12", "11.2", "8.1"),
    Toolkit(">=2.12,<2.14", "11.8", "8.6"),
    Toolkit(">=2.14,<2.15", "11.8", "8.7"),
    Toolkit(">=2.15,<2.16", "12.2", "8.9"),
    Toolkit(">=2.16,<2.18", "12.3", "8.9"),
    Toolkit(">=2.18", "12.5", "9.3"),
)


def toolkit(version: str) -> Toolkit:
    """The toolkit of a release; one that is newer than the table goes by the last row."""
    return next(row for row in TOOLKITS if SpecifierSet(row.releases).contains(version, prereleases=True))
