"""Why two trainings differ: from two training traces to findings. Pure NumPy; Python 3.7 and newer.

``diagnose`` goes through the quantities in the order of a step. ``formulas`` recompute what a step does, ``rules`` is
the catalogue of differences. ``comparison`` imports it; it imports ``models`` for the names of weights.
"""
