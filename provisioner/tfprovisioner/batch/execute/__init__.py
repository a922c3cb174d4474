"""Executes one notebook in one kernel, by papermill.

Runs in the worker's process, on Python 3.10 and newer. ``batch.dask`` and ``batch.bisect`` import it.
"""
