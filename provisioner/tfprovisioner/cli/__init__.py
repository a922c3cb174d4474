"""The ``tfkernels`` command: options and output only. The other folders do the work.

Python 3.10 and newer. Nothing imports it.
"""
