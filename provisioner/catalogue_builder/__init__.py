"""The maintainer's side of the catalogue: `make catalogue` reads the index, resolves the locks, tries every release.

Nothing of this is in the wheel. It writes ``tfprovisioner/catalogue/data`` and ``docs/reference/releases.md``.
"""
