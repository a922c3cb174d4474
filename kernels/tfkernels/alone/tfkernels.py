"""``import tfkernels`` with this folder on the import path gives the package that the folder lies in, and nothing else.

This file is all there is in its folder, so that the folder can be on the path of an environment's Python while nothing
that lies beside the package can be imported there. It is reached by path, from where the distribution is installed:
there is no copy that could grow old, nothing to clean up, and no link that a file system may not have. In PYTHONPATH it
works for every Python from 3.6 on, for its children, and for processes that multiprocessing spawns. (A Python that is
told to ignore its variables, with -E or -I, has no ``tfkernels``.)
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
