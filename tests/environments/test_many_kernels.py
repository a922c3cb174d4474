"""With a kernel for every release the picker does not do more work for each: counted, and not timed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.processes import ended
from tests.support.waiting import DEADLINE, eventually
from tfprovisioner.kernelspecs.install import Installed

_SERVER = """
import sys
log = open(sys.argv.pop(1), "w", buffering=1)
sys.addaudithook(lambda event, arguments: log.write(f"{arguments[0]}\\n") if event == "open" else None)
from jupyter_server.serverapp import main
main()
"""
"""A server of Jupyter that writes down which files it opens."""


@contextmanager
def server(folder: Path, kernels: Path) -> Iterator[tuple[HTTPConnection, Path]]:
    opened = folder / "opened"
    runtime = folder / "runtime"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_"))}
    variables.update(
        JUPYTER_CONFIG_DIR=str(folder / "config"), JUPYTER_DATA_DIR=str(kernels.parent),
        JUPYTER_RUNTIME_DIR=str(runtime), JUPYTER_PREFER_ENV_PATH="0",
    )  # fmt: skip
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
    options += ["--IdentityProvider.token=", "--ServerApp.jpserver_extensions={}", f"--ServerApp.root_dir={folder}"]
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-c", _SERVER, str(opened), *options]
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    with ended(process):
        info = runtime / f"jpserver-{process.pid}.json"

        def ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            if not (info.exists() and info.read_text().endswith("}")):
                return False
            return listens(json.loads(info.read_text())["port"])  # it says where before it does

        eventually(ready)
        port = json.loads(info.read_text())["port"]
        with closing(HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
            yield connection, opened


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def opened_for_the_picker(connection: HTTPConnection, opened: Path, names: set[str]) -> Counter[str]:
    """The files that one answer to the picker takes."""
    before = len(opened.read_text())
    connection.request("GET", "/api/kernelspecs")
    response = connection.getresponse()
    listed = json.loads(response.read())["kernelspecs"]
    assert names <= {*listed}
    return Counter(opened.read_text()[before:].splitlines())


@pytest.mark.parametrize("number", [2, 40])
def test_each_kernel_costs_the_picker_one_file(number: int, installed: dict[str, Installed], tmp_path: Path) -> None:
    kernels = tmp_path / "jupyter" / "kernels"
    names = {f"many{place}" for place in range(number)}
    for name in names:
        shutil.copytree(installed["tf1"].kernelspec, kernels / name)
    with server(tmp_path, kernels) as (connection, opened):
        opened_for_the_picker(connection, opened, names)  # the first answer also imports what it takes
        files = opened_for_the_picker(connection, opened, names)
    ours = {str(kernels / name / "kernel.json"): 1 for name in names}
    assert {file: count for file, count in files.items() if file in ours} == ours
    elsewhere = {Path(file).parents[1] for file in files if file not in ours}
    assert elsewhere <= {Path(sys.prefix) / "share" / "jupyter" / "kernels"}, "and nothing but kernels is read"
