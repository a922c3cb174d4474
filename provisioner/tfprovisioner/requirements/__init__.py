"""Reads what users ask for: requests, requirement lines, files of requirements, locks.

Python 3.10 and newer. ``resolution`` and the folders above it import it.
"""
