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
from tfprovisioner.catalogue import verified
from tfprovisioner.conda.activation import activation
from tfprovisioner.environments import tensorflow_checks
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.pythons import find
from tfprovisioner.pythons.find import NoAnswer

TIMEOUT = 300.0
"""Seconds. The first import of a fresh environment compiles some thousand files."""

_IMPORTING = """
import json, platform, sys
import ipykernel.ipkernel
import tensorflow as tf
import numpy as np
x = np.arange(6, dtype="float32").reshape(2, 3)
product = tf.matmul(tf.constant(x), tf.constant(x.T))
if tf.__version__.startswith("1."):
    with tf.Session() as session:
        product = session.run(product)
assert np.array_equal(np.asarray(product), x.dot(x.T)), product
print("tfkernels-answer " + json.dumps({
    "tensorflow": tf.__version__, "python": platform.python_version(), "numpy": np.__version__,
    "ipykernel": ipykernel.ipkernel.__name__ and __import__("ipykernel").__version__}))
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
    variables = _variables(python)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # this first import makes all later ones fast
    return Findings(**_answer(python, [_IMPORTING], variables, writing))


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
    return found and (" ".join(found[0].split()), found[1])


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
