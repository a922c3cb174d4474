"""Reads what users require beside TensorFlow, from the command line and from files.

Python 3.10 and newer, no process and no network. ``environments`` and the folders above it import it.
"""
