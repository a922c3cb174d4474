"""Runs one script in several environments at the same time.

Python 3.10 and newer. ``cli`` imports it.
"""
