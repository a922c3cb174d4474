"""Equal initial weights and dropout masks in every release, from a random generator of our own. Python 3.6+.

``philox`` is the generator, ``draws`` its distributions; both are NumPy alone. ``api`` finds what a weight begins with
and sets it. It imports ``models`` and ``saved_models``; only the root of the package imports it.
"""
