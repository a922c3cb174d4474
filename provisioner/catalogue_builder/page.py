"""The page ``docs/releases.md``: what there is, what was tried and what came out."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tfprovisioner.catalogue import pins, tested_cuda, verified
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.catalogue.verified import Result

FILE = Path(__file__).parents[2] / "docs" / "releases.md"

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

`make catalogue` writes this page; edit nothing here.

There are {releases} releases in {lines} lines. The newest of each line was installed by `tfkernels install` on Linux
x86-64, without a GPU, on the Pythons in bold type below. Then each of these was tried in a process of its own: import,
an operation, gradient steps (in a session in TensorFlow 1, and with Keras where there is Keras), an LSTM, saving and
loading a model as `.h5`, `tf.data`, Keras' TensorBoard callback; then an operation in a Jupyter kernel, an array to it
and back, as in a `%%tf1` cell, and, from 1.13 on, a slider of ipywidgets. "All" means all of them, as far as the
release has them. The locks are for the other Pythons, and for macOS, Windows and ARM, as well: every package in them
has a wheel there. But nothing was tried there, nor on a GPU. Python 2.7 and 3.3 to 3.5, for which old
releases have wheels too, are not supported.
"""

_SECONDS = """\
Seconds were taken on two shared cores, mostly with the packages in uv's cache: `install` is the whole command, `import`
a new process that imports TensorFlow, `kernel` from the start of a kernel to the answer of its first operation.
"""


def write() -> None:
    FILE.write_text(text(), encoding="utf-8")


def text() -> str:
    lines = catalogue.lines()
    parts = [
        _INTRODUCTION.format(releases=len(catalogue.releases()), lines=len(lines)),
        _table(
            ("line", "newest", "released", "Python", "wheels for", "CUDA, cuDNN", "works", "remarks"),
            [_line(release) for release in lines.values()],
        ),
        "CUDA and cuDNN are what TensorFlow's documentation says each release was tested with.\n",
        "## Patch releases\n",
        "By exact number (`tfkernels install 1.15.0`). In bold type: tried like the above, on the preferred Python.\n",
        _table(("line", "patch releases"), [(line, ", ".join(_patches(line))) for line in lines]),
        "## What is in them, and what it takes\n",
        _SECONDS,
        _table(
            ("release", "Python", *_INSTALLED, "MB", "install", "import", "kernel"),
            [_content(result) for release in lines.values() for result in _results(release)],
        ),
        "## Bounds\n",
        "What a plain `pip install` of an old release gets wrong today, and what the locks do about it.\n",
        _table(("requirement", "TensorFlow", "why"), [_rule(rule) for rule in (*pins.BOUNDS, *pins.WITH)]),
        "Built from source, because there is no wheel; all else comes from wheels only, so that no setup code runs:\n",
        _table(("requirement", "TensorFlow", "why"), [_rule(rule) for rule in pins.SOURCES]),
        "Instead of what TensorFlow asks for:\n",
        _table(("requirement", "TensorFlow", "why"), [_rule(rule) for rule in pins.INSTEAD]),
    ]
    return "\n".join(parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, ["---"] * len(heads), *rows))


def _line(release: Release) -> tuple[str, ...]:
    tried = _results(release)
    toolkit = tested_cuda.toolkit(release.version)
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


def _patches(line: str) -> list[str]:
    return [
        _bold(release.version, release.result(release.pythons[0]))
        + (f" (withdrawn: {release.yanked})" if release.yanked else "")
        for release in catalogue.releases()
        if release.line == line
    ]


def _content(result: Result) -> tuple[str, ...]:
    seconds = (
        f"{result.seconds[name]:.0f}" if name in result.seconds else "" for name in ("install", "import", "kernel")
    )
    versions = (result.packages.get(name, "") for name in _INSTALLED)
    return (result.version, result.python, *versions, f"{result.size / 1e6:,.0f}", *seconds)


def _rule(rule: pins.Rule) -> tuple[str, ...]:
    return (f"`{rule.requirement}`", f"`{rule.releases}`" if rule.releases else "all", rule.because)
