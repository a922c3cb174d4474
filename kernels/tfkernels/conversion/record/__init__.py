"""A model of this process as a record of plain values and arrays, which another release can rebuild. Python 3.6+.

It uses the Keras that made the model, and ``models`` for names. ``target`` and the loading of files use it.
"""
