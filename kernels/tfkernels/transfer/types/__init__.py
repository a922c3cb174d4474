"""Kinds of values beyond plain data and arrays: how each comes apart into simpler ones, and is put together again.

One module per library, imported when the first value of that library is met; ``table`` says which.
"""
