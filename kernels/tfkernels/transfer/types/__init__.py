"""Kinds of values beyond plain data and arrays: how each is taken apart into simpler ones, and put together again.

One module per library, imported with its first value. Python 3.6 and newer. Only ``transfer`` imports it.
"""
