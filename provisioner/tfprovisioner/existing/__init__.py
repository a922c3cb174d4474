"""Environments that users made themselves: finds and inspects them, changes nothing in them.

Python 3.10 and newer. ``kernelspecs`` and ``cli`` import it.
"""
