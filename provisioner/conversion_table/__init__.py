"""``make conversions``, for maintainers: converts specimens of saved models, and writes the table of what works.

Specimens lie in folders, each with an ``index.json``: a list of ``{"architecture", "format", "path", "needs",
"inputs", "outputs", "release"}``. It is not in the wheel. Nothing imports it.
"""
