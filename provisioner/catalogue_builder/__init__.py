"""``make catalogue``: reads the package index, resolves the locks, tries every release; not in the wheel.

It writes ``tfprovisioner/catalogue/data`` and ``docs/releases.md``. Python 3.10 and newer; nobody imports it.
"""
