"""Build tools of their time: what old packages need to be built from source today, beside what they declare.

New tools come first. The tables say which older or undeclared ones a package needs, or a failure asks for.
"""

from typing import NamedTuple


class Tools(NamedTuple):
    """A row of ``OF_PACKAGES``."""

    package: str
    """A normalized name."""
    requirements: tuple[str, ...]
    because: str


class Cure(NamedTuple):
    """A row of ``AFTER_FAILURES``."""

    log: str
    """A pattern in the log of a failed build."""
    requirement: str
    because: str


NUMPY = "numpy"
"""Of the build tools, the one that a package is compiled against: it must be the environment's own version."""

OF_PACKAGES = (
    # What is known before a build fails
    Tools("lws", (NUMPY,), "its setup code imports NumPy undeclared"),
)

AFTER_FAILURES = (
    Cure(r"use_2to3 is invalid", "setuptools<58", "58 no longer translates Python 2"),
    Cure(r"cannot import name '?Feature", "setuptools<46", "46 removed it"),
    Cure(r"No module named '?pkg_resources", "setuptools<81", "82 removed it"),
    Cure(r"No module named '?numpy|numpy/\w+\.h: No such file", NUMPY, "its setup code imports it undeclared"),
    Cure(r"No module named '?[Cc]ython|cython.* not found", "cython<3", "undeclared, and 3 is stricter"),
    Cure(r"Cython\.Compiler\.Errors\.CompileError|undeclared name not builtin", "cython<3", "3 is stricter"),
    Cure(r"No module named '?pip\b", "pip<10", "setup code that read requirement files by pip's own modules"),
    *(
        Cure(rf"No module named '?{module}\b", package, "its setup code imports it undeclared")
        for module, package in {
            "cffi": "cffi",
            "pkgconfig": "pkgconfig",
            "packaging": "packaging",
            "pybind11": "pybind11",
            "requests": "requests",
            "scipy": "scipy",
            "setuptools_scm": "setuptools_scm",
            "six": "six",
            "skbuild": "scikit-build",
            "wheel": "wheel",
        }.items()
    ),
)

REPEATED = ("setuptools<46",)
"""Requirements above that hold for all builds of an installation, because their own setup code asks for more."""

VERSIONS = {"sklearn": "sklearn==0.0"}
"""Packages by name whose newer versions refuse to be built: sklearn's are there to be replaced by scikit-learn."""

OLD = "setuptools<58"
"""What is tried after a failure that no row knows: the last before setuptools removed what was long deprecated."""

OLD_UNTIL = (3, 11)
"""The newest Python that these old tools run on."""
