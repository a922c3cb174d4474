"""The page ``docs/reference/releases.md``: releases, tests and results."""

from collections.abc import Iterable, Sequence
from pathlib import Path

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
_INSTALLED = ("numpy", "protobuf", "h5py", "keras", "tensorboard", "ipykernel", "ipython", "ipywidgets")

_INTRODUCTION = """\
# TensorFlow releases

`make catalogue` writes this page. Do not edit it.

There are {releases} releases in {lines} lines. The newest release of each line was installed by `tfkernels install`,
on Linux x86-64, without a GPU, on the Pythons in bold type. Each was tested in a process of its own:

- the import and an operation;
- gradient steps: in a session in TensorFlow 1, and with Keras where the release has Keras;
- an LSTM, `tf.data`, and Keras' TensorBoard callback;
- saving and loading a model as `.h5`;
- an operation in a Jupyter kernel, and an array to it and back, as in a `%%tf1` cell;
- from 1.13 on, a slider of ipywidgets.

"All" means all of these that the release has.

The locks also hold for the other Pythons, and for macOS, Windows and ARM. All their packages have wheels there.
Nothing was tested there, nor on a GPU. Python 2.7 and 3.3 to 3.5 are not supported.
"""

_SECONDS = """\
Seconds were measured on two shared cores, mostly with the packages in uv's cache:

- `install`: the whole command;
- `import`: a new process that imports TensorFlow;
- `kernel`: from the start of a kernel to the answer of its first operation.
"""


def write() -> None:
    FILE.write_text(text(), encoding="utf-8")


def text() -> str:
    lines = catalogue.lines()
    patches = {line: ", ".join(_patch(patch) for patch in catalogue.releases() if patch.line == line) for line in lines}
    parts = [
        _INTRODUCTION.format(releases=len(catalogue.releases()), lines=len(lines)),
        _table(
            ("line", "newest", "released", "Python", "wheels for", "CUDA, cuDNN", "works", "remarks"),
            [_line(release) for release in lines.values()],
        ),
        "The CUDA and cuDNN columns come from TensorFlow's documentation: each release was tested with them.\n",
        "## Patch releases\n",
        "Install them by number: `tfkernels install 1.15.0`. Bold ones were tested as above, on the best Python.\n",
        _table(("line", "patch releases"), patches.items()),
        "## Packages, sizes and times\n",
        _SECONDS,
        _table(
            ("release", "Python", *_INSTALLED, "MB", "install", "import", "kernel"),
            [_content(result) for release in lines.values() for result in _results(release)],
        ),
        "## Bounds\n",
        "A plain `pip install` of an old release ignores these bounds. The locks keep them.\n",
        _rules((*pins.BOUNDS, *pins.WITH)),
        "These packages have no wheel and are built from source. All others come from wheels, so no setup code runs:\n",
        _rules(pins.SOURCES),
        "These replace requirements of TensorFlow:\n",
        _rules(pins.INSTEAD),
    ]
    return "\n".join(parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, ["---"] * len(heads), *rows))


def _line(release: Release) -> tuple[str, ...]:
    tried = _results(release)
    toolkit = cuda.toolkit(release.version)
    # With several Pythons the same thing is said once.
    problems = dict.fromkeys(
        f"{name}: {outcome}" if not outcome.startswith(verified.ABSENT) else f"{name} ({outcome})"
        for result in tried
        for name, outcome in result.checks.items()
        if outcome != "ok"
    )
    works = "not tried" if not tried else "all" if all(result.ok for result in tried) else "partly"
    return (
        release.line,
        release.version,
        release.released or "",
        ", ".join(_bold(python, release.result(python)) for python in release.pythons),
        ", ".join(_PLATFORMS[name] for name in _PLATFORMS if name in release.platforms),
        f"{toolkit.cuda}, {toolkit.cudnn}",
        works,
        "; ".join(problems),
    )


def _results(release: Release) -> list[Result]:
    found = (release.result(python) for python in release.pythons)
    return [result for result in found if result is not None]


def _bold(text: str, result: Result | None) -> str:
    return f"**{text}**" if result is not None and result.ok else text


def _patch(release: Release) -> str:
    withdrawn = f" (withdrawn: {release.yanked})" if release.yanked else ""
    return _bold(release.version, release.result(release.pythons[0])) + withdrawn


def _content(result: Result) -> tuple[str, ...]:
    measured = (result.seconds.get(name) for name in ("install", "import", "kernel"))
    seconds = ("" if taken is None else f"{taken:.0f}" for taken in measured)
    versions = (result.packages.get(name, "") for name in _INSTALLED)
    return (result.version, result.python, *versions, f"{result.size / 1e6:,.0f}", *seconds)


def _rules(rules: Iterable[pins.Rule]) -> str:
    rows = [(f"`{rule.requirement}`", f"`{rule.releases}`" if rule.releases else "all", rule.because) for rule in rules]
    return _table(("requirement", "TensorFlow", "why"), rows)
