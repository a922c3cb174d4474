"""Hooks in the kernel that is called: they bind inputs, run the cell and send outputs.

Runs on Python 3.6 and newer. The launcher imports it; kernels of other programs get it sent.
"""
