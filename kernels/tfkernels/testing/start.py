"""Starts pytest in the environment of a TensorFlow release; ``pytest --tf`` runs this file by its path.

``python start.py SETTINGS``: a JSON file, see ``run_plugin``. pytest lies outside the environment, in a folder with
what the environment lacks. It is the last entry of the import path, so it hides nothing.
"""

import json
import os
import site
import sys


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    del sys.path[0]  # the folder of this file
    site.addsitedir(settings["packages"])

    import pytest

    from tfkernels.testing.run_plugin import RunPlugin

    # As `python -m pytest` does it, and the usual place of a library's code.
    own = [os.getcwd(), settings["rootdir"], os.path.join(settings["rootdir"], "src")]
    sys.path[:0] = list(dict.fromkeys(path for path in own if os.path.isdir(path)))
    sys.argv = ["pytest", *settings["arguments"]]
    sys.exit(int(pytest.main(list(settings["arguments"]), plugins=[RunPlugin(settings)])))


if __name__ == "__main__":
    main()
