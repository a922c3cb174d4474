"""What Jupyter reads: installs, checks, lists and removes kernels; launches them.

Python 3.10 and newer. Jupyter imports ``provisioner``; ``batch`` and ``cli`` import the rest.
"""
