"""Forty kernels are listed with forty times the work of one, and no more: nothing is searched, nothing is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tfprovisioner.kernelspecs.install import Installed

# What Python itself reports of all that it opens, reads as a folder, and starts.
COUNT = """
import collections, json, os, sys
from tfprovisioner.kernelspecs import listing
counted = collections.Counter()
names = ("open", "os.listdir", "os.scandir", "subprocess.Popen", "os.posix_spawn", "os.fork", "socket.connect")
sys.addaudithook(lambda event, arguments: counted.update([event] if event in names else []))
rows = listing.kernels()
counted = dict(counted)
assert all(row.state == "ok" for row in rows)
print(json.dumps([len(rows), counted]))
"""


def work(jupyter: Path) -> tuple[int, Counter[str]]:
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, "JUPYTER_PATH": str(jupyter)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, counted = json.loads(done.stdout)
    return rows, Counter(counted)


def test_listing_costs_the_reading_of_what_is_listed(installed: dict[str, Installed], tmp_path: Path) -> None:
    def copies(numbers: range) -> None:
        for number in numbers:
            shutil.copytree(installed["tf1"].kernelspec, tmp_path / "kernels" / f"copy{number}")

    copies(range(2))
    few, cheap = work(tmp_path)
    copies(range(2, 42))
    many, dear = work(tmp_path)
    assert many == few + 40
    # kernel.json and environment.json; of the environment's packages it is only asked whether they are there
    assert dear - cheap == Counter({"open": 80})
    assert not dear["subprocess.Popen"] + dear["os.posix_spawn"] + dear["os.fork"] + dear["socket.connect"]


def test_the_command_line_imports_only_what_it_needs() -> None:
    look = (
        "import sys; from tfprovisioner.cli.app import app; app(['--help'], standalone_mode=False); "
        "print([name for name in sys.argv[1:] if name in sys.modules])"
    )
    slow = ["jupyter_client", "zmq", "IPython", "nbformat", "papermill", "rattler", "numpy", "rich"]
    done = subprocess.run([sys.executable, "-c", look, *slow], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ")
    assert done.stdout.endswith("\n[]\n")
