"""Imports that take seconds and that nothing here needs. Importing this module skips them in this process.

``nbformat`` imports ``jsonschema``, which imports ``rfc3987_syntax`` if it is installed, as it is beside Jupyter. That
compiles grammars for two seconds, to check the format ``iri``, which no schema of notebooks has.
https://github.com/python-jsonschema/jsonschema/issues/1428

The command imports this first, and so does the process that workers fork from. A Jupyter server never does: the
process is not ours.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # "not installed", as Python documents it
