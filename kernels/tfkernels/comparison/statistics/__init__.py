"""Numbers about the differences of two arrays.

NumPy only, on Python 3.7 and newer. Only ``comparison`` imports it.
"""
