"""Bundles: everything for kernels on a machine without network, in one file; written here, and installed from there.

Python 3.10 and newer; ``contents`` and ``start`` also run there without any package. ``cli`` imports it.
"""
