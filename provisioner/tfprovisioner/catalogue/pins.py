"""Pins that each TensorFlow release needs to work today: the one table that all locks are made from.

A release says which packages it needs, but not which later ones break it. Each row fixes one such break, and says why.
Releases newer than this table go by the same rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version


@dataclass(frozen=True)
class Rule:
    """A requirement, the releases that it holds for (a PEP 440 specifier; empty means all), and the reason for it."""

    requirement: str
    releases: str
    because: str
    later: str = ""
    """The first version with which TensorFlow is imported all the same, and what follows fails."""
    beside: str = ""
    """What fails with it, if TensorFlow itself does not."""
    fails: str = ""
    """The one of ``tensorflow_checks.CHECKS`` that fails with it."""


WITH = (
    # Packages beside TensorFlow and its dependencies
    Rule("ipykernel", "", "it is to be a kernel"),
    Rule("matplotlib", "", "%matplotlib inline is what notebooks begin with"),
    Rule("pip", "", "!pip install must go into this environment"),
    Rule("setuptools", "", "TensorBoard and many notebooks import pkg_resources"),
    Rule(
        "ipywidgets>=8.1,<9 ; python_version >= '3.7'",
        ">=1.13",
        "sliders and interact; version 7 does not show in JupyterLab 4, and 8.1 is not for Python 3.6",
    ),
    Rule(
        "tqdm ; python_version >= '3.7'",
        ">=1.13",
        "tqdm.notebook, with ipywidgets, is the bar of many notebooks",
    ),
    Rule("h5py", "<1.11", "Keras saves .h5 files with it, but does not ask for it"),
    Rule("tensorboard", ">=2.21", "TensorFlow no longer asks for it, and its Keras callback raises without it"),
)

BOUNDS = (
    # Limits for packages, whoever asks for them
    Rule("setuptools<81", "<2.20", "82 has no pkg_resources any more", later="82", beside="TensorBoard's program"),
    Rule("protobuf<4", "<2.10", "4 removed what TensorFlow's generated code calls: importing it raises TypeError"),
    Rule(
        "numpy<1.20",
        "<2.5",
        "1.20 refuses to make an array of a symbolic tensor: building an LSTM raises",
        later="1.20",
        fails="lstm",
    ),
    Rule("numpy<2", ">=2.5,<2.18", "TensorFlow was compiled for NumPy 1: importing it raises"),
    Rule(
        "h5py<3",
        "<2.5",
        "3 reads text as str and Keras decodes bytes: loading an .h5 file raises",
        later="3",
        fails="h5",
    ),
    Rule("keras<2.7", ">=2.6,<2.7", "2.6.0 lets any Keras 2 in, and cannot import the later ones"),
    Rule("tensorflow-estimator<2.7", ">=2.6,<2.7", "2.6.0 lets any 2 in, and cannot import the later ones"),
    Rule("tensorboard<2.7", ">=2.6,<2.7", "2.6 lets any 2 in"),
    Rule("ipython<8.23", ">=2.12,<2.14", "TensorFlow's typing_extensions lacks what 8.23 imports: the kernel dies"),
)

KERNEL = (
    # What our kernel runs with; only the user's own requirements can be older
    Rule("ipykernel>=5", "", "tfkernels extends classes that came with 5"),
    Rule("ipython>=7", "", "ipykernel runs cells with what came with 7"),
)

COMPANIONS = (
    # Limits for packages that do not say, or say wrongly, what they work with; the user's versions win
    Rule("keras<2.3", "<1.13", "2.3.1 cannot be imported; 2.2.5 trains with 1.0 to 1.12"),
    Rule("keras<2.4", ">=1.13,<2.2", "the last that is more than a part of TensorFlow, and the last for 1.x"),
    Rule("keras<2.5", ">=2.2,<2.6", "later ones are parts of later releases"),
    Rule("smart-open<7 ; python_version < '3.7'", "", "7 says that Python 3.6 will do, and has the syntax of 3.7"),
    Rule("tensorflow-addons<0.10", ">=2.1,<2.2", "0.10 needs what came with 2.2"),
)

SOURCES = (
    # Versions without a wheel that cannot be avoided: the only ones whose setup code runs
    Rule("html5lib==0.9999999", ">=1.2,<1.9", "TensorBoard, or TensorFlow 1.2 itself, wants this very version"),
    Rule("markdown==2.2.0", "==1.2.0", "TensorFlow wants this very version"),
    Rule("termcolor==1.1.0", ">=1.6,<2.7", "the last for Python 3.6, and the only one that 2.4 to 2.6 allow"),
    Rule("gast==0.2.2", ">=1.15,<2.2", "TensorFlow wants this very version"),
    Rule("wrapt==1.12.1", ">=2.4,<2.7", "TensorFlow allows only this one"),
    Rule("clang==5.0", ">=2.6,<2.7", "TensorFlow allows only this one"),
    Rule("jax==0.4.13", ">=2.12,<2.13", "the last for Python 3.8, from before jax had wheels"),
)

INSTEAD = (
    # Requirements in place of a package's own
    Rule("setuptools>=40.8", ">=1.9,<1.12", "TensorFlow wants at most 39.1, with which no wheel can be built any more"),
    Rule(
        "tensorflow-intel ; sys_platform == 'never'",
        ">=2.18.1,<2.20",
        "the Linux wheels ask for it on Windows, where it is neither needed nor published",
    ),
)


@dataclass(frozen=True)
class Newer:
    """Packages that an environment as of an earlier day has in later versions, and the reason."""

    packages: tuple[str, ...]
    because: str
    day: str = ""
    """Versions of this day are enough; empty means today's."""


NEWER = (
    Newer(("pip", "setuptools", "wheel"), "older ones build and install nothing from today's index"),
    Newer(
        (
            "ipykernel", "ipython", "ipython-genutils", "backcall", "decorator", "jedi", "jupyter-client",
            "jupyter-core", "parso", "pexpect", "pickleshare", "prompt-toolkit", "ptyprocess", "pygments",
            "python-dateutil", "pyzmq", "six", "tornado", "traitlets", "wcwidth",
        ),
        "kernels of the time before do not run under today's Jupyter",
        "2018-11-30",
    ),
    Newer(
        ("ipywidgets", "comm", "jupyterlab-widgets", "widgetsnbextension"), "older ones do not show in today's Jupyter"
    ),
)  # fmt: skip


def applying(rules: Iterable[Rule], version: str) -> tuple[Rule, ...]:
    """The rows of one of the tables that hold for a release; none for a version that is not of TensorFlow's kind."""
    try:
        Version(version)
    except InvalidVersion:
        return ()
    return tuple(rule for rule in rules if SpecifierSet(rule.releases).contains(version, prereleases=True))


def requirements(rules: Iterable[Rule], version: str) -> tuple[str, ...]:
    """Their requirements."""
    return tuple(rule.requirement for rule in applying(rules, version))
