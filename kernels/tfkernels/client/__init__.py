"""Starts, drives and ends another kernel. Works without IPython.

Runs in the process that calls, on Python 3.7 and newer. ``notebook`` and ``tfkernels.kernel`` import it.
"""
