"""Shared-memory segments: a pool of them, and how they are mapped, written and read.

Runs in both kernels, on Python 3.6 and newer. Only ``transfer`` imports it.
"""
