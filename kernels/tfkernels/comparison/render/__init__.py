"""A comparison as text, as a page, as charts.

Python 3.7 and newer; ``plot`` needs matplotlib. ``comparison`` and the report of a batch import it.
"""
