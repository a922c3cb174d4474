"""GPUs of this machine, and the CUDA libraries that a release needs.

Python 3.10 and newer. Imports ``catalogue`` and ``system``.
"""
