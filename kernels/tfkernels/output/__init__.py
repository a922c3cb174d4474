"""Shows what a cell in another kernel prints and displays: in a notebook, in a terminal, or to a function.

Runs in the kernel that calls, on Python 3.7 and newer. ``client`` and ``notebook`` import it.
"""
