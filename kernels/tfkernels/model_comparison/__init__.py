"""Two models compared by their layers and settings, before any number is computed. Python 3.6+.

``description`` makes a plain dict of a model, which travels between kernels; ``pairing`` finds which layers belong
together, ``settings`` which of their settings differ. ``compare`` puts them together, ``report`` shows the result. It
imports ``models``, and of ``conversion`` the rules for layers and the record's plain values.
"""
