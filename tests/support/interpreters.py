"""Pythons of this machine, for environments that tests make. The search is that of an installation, done once."""

from __future__ import annotations

from tfprovisioner.pythons import find


def interpreter(version: str) -> str | None:
    """The best Python of a version (``3.7``)."""
    return next((str(python.path) for python in find.pythons(version) if not python.virtual), None)
