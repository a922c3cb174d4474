"""Metadata in place of those that are wrong, for versions that files of papers lead to.

uv refuses a version whose metadata it does not understand: pandas before 0.25 requires ``pytz>=2011k``.
numba before 0.48 lets in any later llvmlite, and can be imported with one only.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metadata:
    """The requirements of some versions of a package."""

    name: str
    versions: tuple[str, ...]
    requirements: tuple[str, ...]


ROWS = (
    Metadata(
        "pandas",
        (
            "0.19.0", "0.19.1", "0.19.2", "0.20.0", "0.20.1", "0.20.2", "0.20.3", "0.21.0", "0.21.1", "0.22.0",
            "0.23.0", "0.23.1", "0.23.2", "0.23.3", "0.23.4",
        ),
        ("numpy>=1.9", "python-dateutil>=2.5", "pytz>=2011.11"),
    ),
    Metadata(
        "pandas", ("0.24.0", "0.24.1", "0.24.2"), ("numpy>=1.12", "python-dateutil>=2.5", "pytz>=2011.11"),
    ),
    Metadata("numba", ("0.47.0",), ("llvmlite>=0.31,<0.32", "numpy", "setuptools")),
    Metadata("numba", ("0.46.0",), ("llvmlite>=0.30,<0.31", "numpy", "setuptools")),
)  # fmt: skip


def entries() -> list[dict[str, object]]:
    """For uv's setting ``dependency-metadata``."""
    return [
        {"name": row.name, "version": version, "requires-dist": list(row.requirements)}
        for row in ROWS
        for version in row.versions
    ]
