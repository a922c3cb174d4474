"""Turns values into bytes in shared memory, and back. Knows nothing of Jupyter.

Runs in both kernels, on Python 3.6 and newer. ``client``, ``kernel_side`` and ``recording`` import it.
"""
