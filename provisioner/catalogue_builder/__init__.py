"""The maintainer's side of the catalogue: `make catalogue` reads the index, resolves the locks, tries every release.

Nothing of this is in the wheel. What it writes is: ``tfprovisioner/releases`` and the page ``docs/reference/releases.md``.
"""
