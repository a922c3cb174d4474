"""Finds why the user's requirements cannot be installed with a release, and the smallest change that helps.

Python 3.10 and newer, no process of its own: it asks a function whether lines go together. ``resolve`` imports it.
"""
