"""Import shim: ``import tfkernels`` with this folder on the path gives the package around the folder, and nothing else.

This is the only file in its folder, so nothing that lies beside the package can be imported. It is reached by path,
where the distribution is installed, so there is no copy to grow old. In PYTHONPATH it works for children and for
processes that multiprocessing spawns, on Python 3.6 and newer; a Python with -E or -I ignores the variable.
"""

import importlib.util
import os
import sys


def _become_the_package() -> None:
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(
        "tfkernels", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["tfkernels"] = package  # the import that is under way returns what it finds there
    spec.loader.exec_module(package)


_become_the_package()
