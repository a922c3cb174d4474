"""Finds Python interpreters, chooses one for a release, gets old ones from conda-forge.

Python 3.10 and newer. Imports ``catalogue``, ``conda`` and ``system``.
"""
