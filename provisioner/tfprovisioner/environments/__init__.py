"""Builds environments, verifies them and keeps their records on disk.

Python 3.10 and newer. ``existing``, ``kernelspecs`` and ``batch`` import it.
"""
