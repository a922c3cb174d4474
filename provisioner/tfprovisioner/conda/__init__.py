"""Conda without conda: channels, solving and installing, activation, and the environments that users have.

Python 3.10 and newer. Imports ``system``. No conda is needed; only ``rattler_worker`` imports py-rattler.
"""
