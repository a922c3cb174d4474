"""Finds the release in which a result changed.

Python 3.10 and newer. ``cli`` imports it.
"""
