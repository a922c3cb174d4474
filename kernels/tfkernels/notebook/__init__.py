"""What the user of a notebook types: magics, completion and help.

Runs in the notebook's kernel, with IPython, on Python 3.7 and newer. Only ``%load_ext tfkernels`` imports it.
"""
