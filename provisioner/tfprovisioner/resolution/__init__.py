"""From requirements to a lock: resolves with uv, explains conflicts, decides what is built from source.

Python 3.10 and newer. ``environments`` and the folders above it import it.
"""
