"""Programs that are run in an environment to find out what works there. Each is a process of its own."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkernels import env_vars
from tfkernels.client.process import ending
from tfprovisioner.catalogue import system_libraries, verified
from tfprovisioner.conda.activation import activation
from tfprovisioner.environments import tensorflow_checks
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.pythons import find
from tfprovisioner.pythons.find import NoAnswer

TIMEOUT = 300.0
"""Seconds. The first import of a fresh environment compiles some thousand files."""

_IMPORTING = """
import json, os, platform, sys
import ipykernel.ipkernel
import tensorflow as tf
import numpy as np
x = np.arange(6, dtype="float32").reshape(2, 3)
product = tf.matmul(tf.constant(x), tf.constant(x.T))
if tf.__version__.startswith("1."):
    with tf.Session() as session:
        product = session.run(product)
assert np.array_equal(np.asarray(product), x.dot(x.T)), product
findings = {
    "tensorflow": tf.__version__, "python": platform.python_version(), "numpy": np.__version__,
    "ipykernel": ipykernel.ipkernel.__name__ and __import__("ipykernel").__version__}
tried = {}
if sys.argv[1:]:
    checks = {"__name__": "tensorflow_checks", "tf": tf, "np": np}
    with open(sys.argv[1], encoding="utf-8") as file:
        exec(compile(file.read(), sys.argv[1], "exec"), checks)
for name in sys.argv[2:]:
    try:
        checks["CHECKS"][name]()
        tried[name] = "ok"
    except SystemExit as end:
        tried[name] = "ok" if end.code == checks["NOT_IN_THIS_RELEASE"] else "it exits with " + repr(end.code)
    except BaseException as error:
        tried[name] = type(error).__name__ + ": " + str(error)
print("\\ntfkernels-answer " + json.dumps([findings, tried]), flush=True)
if sys.argv[1:]:
    os._exit(0)  # sessions that the checks left open
"""

_STARTING_KERNEL = """
import json, os, subprocess, sys, tempfile, time
import jupyter_client
from jupyter_client.connect import write_connection_file
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)  # paths of sockets have to be short
    file = write_connection_file(os.path.abspath("kernel.json"), ip="s", transport="ipc")[0]
    with open("log", "w+b") as log:
        command = [sys.executable, "-I", "-m", "ipykernel_launcher", "-f", file]
        kernel = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            client = jupyter_client.BlockingKernelClient(connection_file=file)
            client.load_connection_file()
            client.start_channels()
            end = time.monotonic() + 180
            while True:
                try:
                    client.wait_for_ready(timeout=180)
                    break
                except RuntimeError:  # older jupyter_clients call a kernel dead that is still starting
                    if kernel.poll() is not None or time.monotonic() > end:
                        raise
            asked = client.execute("6 * 7", store_history=False)
            while True:
                reply = client.get_shell_msg(timeout=180)
                if reply["parent_header"].get("msg_id") == asked:
                    break
            problem = "" if reply["content"]["status"] == "ok" else str(reply["content"].get("evalue"))
        except Exception as error:
            log.seek(0)
            last = log.read().decode(errors="replace").strip().splitlines()[-1:]
            problem = (last or [type(error).__name__ + ": " + str(error)])[0]
        finally:
            kernel.kill()
            kernel.wait()
print("\\ntfkernels-answer " + json.dumps(problem), flush=True)
os._exit(0)
"""

_IMPORTING_EXTRAS = """
import importlib, json, os, re, sys
failed = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        lacking = isinstance(error, (OSError, SystemExit)) and not re.search("shared object|undefined symbol", text)
        display = re.search("DISPLAY|display name|connect to display|NoSuchDisplay", text)
        failed.append([text, bool(lacking or display)])
print("\\ntfkernels-answer " + json.dumps(min(failed, key=lambda one: one[1], default=None)), flush=True)
os._exit(0)  # threads that a package started may go on
"""
"""A package that misses a file of the user's, or a display, fits TensorFlow. Other versions of it miss them, too."""

_LOADING = """
import bz2, ctypes, hashlib, json, lzma, multiprocessing.synchronize, os, platform, sqlite3, ssl, sys, zlib
ctypes.PyDLL(sys.argv[1], mode=os.RTLD_NOW)
print("tfkernels-answer " + json.dumps(platform.python_version()), flush=True)
os._exit(0)  # nothing in it was begun, and to take it apart takes as long
"""
"""The modules are those that Pythons are built without if the system lacks a library."""

_GPU_SCRIPT = """
import json
import tensorflow as tf
try:
    devices = [device.name for device in tf.config.experimental.list_physical_devices("GPU")]
except AttributeError:  # before 1.14
    from tensorflow.python.client import device_lib
    devices = [device.physical_device_desc for device in device_lib.list_local_devices() if device.device_type == "GPU"]
print("tfkernels-answer " + json.dumps(devices))
"""


@dataclass(frozen=True)
class Findings:
    """The versions that an environment reports."""

    tensorflow: str
    python: str
    numpy: str
    ipykernel: str


def probe(python: Path, writing: bool = True) -> Findings:
    """Imports TensorFlow with ``python`` and multiplies two matrices. Raises ``BrokenEnvironment`` with the reason.

    ``writing=False`` leaves an environment as it is, bytecode included: it is the user's.
    """
    return _probe(python, [], writing)[0]


def probe_and_try(python: Path, checks: Sequence[str]) -> tuple[Findings, dict[str, str]]:
    """The same, and the outcomes of some of ``tensorflow_checks.CHECKS`` in the same process, after the import.

    A check that ends the process is run again in one of its own. Raises ``BrokenEnvironment``.
    """
    try:
        return _probe(python, [tensorflow_checks.__file__, *checks], True)
    except BrokenEnvironment:
        return probe(python), {check: trial(python, check) for check in checks}


def _probe(python: Path, arguments: Sequence[str], writing: bool) -> tuple[Findings, dict[str, str]]:
    variables = _variables(python)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # this first import makes all later ones fast
    findings, tried = _answer(python, [_IMPORTING, *arguments], variables, writing)
    return Findings(**findings), {name: " ".join(outcome.split())[:300] for name, outcome in tried.items()}


def trial(python: Path, check: str, writing: bool = True) -> str:
    """The outcome of one of ``tensorflow_checks.CHECKS`` in an environment, as in ``catalogue.verified.Result``."""
    command = [str(python), "-I", *([] if writing else ["-B"]), tensorflow_checks.__file__, check]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, env=_variables(python), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=TIMEOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"it took more than {TIMEOUT:.0f} s"
    if done.returncode == tensorflow_checks.NOT_IN_THIS_RELEASE:
        return f"{verified.ABSENT}: {done.stdout.strip().splitlines()[-1]}"
    if done.returncode == 0:
        return "ok"
    last = done.stderr.strip().rpartition("\n")[2][-300:].rstrip(".")
    if done.returncode == 1 and last:
        return last
    # Before another end stands any warning; only an abort says why.
    reason = f": {last}" if done.returncode == -signal.SIGABRT and last else ""
    return f"it {ending(done.returncode)}{reason}"


def import_error(python: Path, modules: Sequence[str]) -> tuple[str, bool] | None:
    """The error of importing modules one after the other, and whether the machine lacks something for them."""
    try:
        found = _answer(python, [_IMPORTING_EXTRAS, *modules], _variables(python), True, "importing it")
    except BrokenEnvironment as crash:
        found = str(crash), False
    return found and (" ".join(found[0].split()), found[1] or system_libraries.missing(found[0]) is not None)


def kernel_error(python: Path) -> str | None:
    """The error of starting a kernel and running a cell in it, by the environment's own packages of Jupyter."""
    try:
        return str(_answer(python, [_STARTING_KERNEL], _variables(python), True, "starting a kernel")) or None
    except BrokenEnvironment as error:
        return str(error).splitlines()[-1]


def load_library(python: Path, library: Path) -> str:
    """The version of ``python``, if it has all of its parts, and TensorFlow's libraries can be loaded with it.

    ``library`` is the one that needs all others. Raises ``BrokenEnvironment``.
    """
    return str(_answer(python, [_LOADING, str(library)], _variables(python), writing=False))


def gpus_seen(python: Path, own: Mapping[str, str], writing: bool = True) -> tuple[str, ...]:
    """The GPUs that TensorFlow sees with the variables of a kernelspec. Raises ``BrokenEnvironment``."""
    variables = {**env_vars.cleaned(os.environ), **own}
    variables.update(TF_FORCE_GPU_ALLOW_GROWTH="true", TF_CPP_MIN_LOG_LEVEL="2")
    return tuple(_answer(python, [_GPU_SCRIPT], variables, writing))


def _variables(python: Path) -> dict[str, str]:
    variables = {**env_vars.cleaned(os.environ), **activation(python.parent.parent).variables}
    variables["CUDA_VISIBLE_DEVICES"] = "-1"  # no memory of a GPU that is at work is taken
    variables["TF_CPP_MIN_LOG_LEVEL"] = "2"
    return variables


def _answer(
    python: Path,
    script: Sequence[str],
    variables: Mapping[str, str],
    writing: bool,
    task: str = "importing TensorFlow and running an op",
) -> Any:
    try:
        return find.answer(python, [*([] if writing else ["-B"]), "-c", *script], variables, TIMEOUT)
    except NoAnswer as error:
        raise BrokenEnvironment(f"{task} with {python} failed: {error}") from None
