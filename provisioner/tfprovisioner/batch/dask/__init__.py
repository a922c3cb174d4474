"""Distributes the runs of a batch over this machine or a Dask cluster.

Python 3.10 and newer, with the extra ``batch``. ``batch.notebooks`` and ``cli`` import it.
"""
