"""The page ``docs/reference/releases.md``: releases, tests and results. Its text is in ``page.md.j2``."""

from pathlib import Path

from jinja2 import Template

from tfprovisioner.catalogue import pins, verified
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.catalogue.verified import Result
from tfprovisioner.gpu import cuda

FILE = Path(__file__).parents[2] / "docs" / "reference" / "releases.md"

_PLATFORMS = {
    "linux-x86_64": "Linux",
    "linux-aarch64": "Linux ARM",
    "macos-x86_64": "macOS Intel",
    "macos-arm64": "macOS ARM",
    "windows-x86_64": "Windows",
}
_PACKAGES = ("numpy", "protobuf", "h5py", "keras", "tensorboard", "ipykernel", "ipython", "ipywidgets")


def write() -> None:
    FILE.write_text(text(), encoding="utf-8")


def text() -> str:
    source = Path(__file__).with_suffix(".md.j2").read_text(encoding="utf-8")
    page = Template(source, trim_blocks=True)
    rendered: str = page.render(
        releases=catalogue.releases(), lines=catalogue.lines(), packages=_PACKAGES, cuda=cuda, pins=pins,
        platforms=_PLATFORMS, results=_results, remarks=_remarks,
    )  # fmt: skip
    return rendered


def _results(release: Release) -> list[Result]:
    return [result for python in release.pythons if (result := release.result(python)) is not None]


def _remarks(release: Release) -> str:
    """What does not work; the same on several Pythons once."""
    outcomes = [outcome for result in _results(release) for outcome in result.checks.items() if outcome[1] != "ok"]
    return "; ".join(
        f"{name} ({outcome})" if outcome.startswith(verified.ABSENT) else f"{name}: {outcome}"
        for name, outcome in dict.fromkeys(outcomes)
    )
