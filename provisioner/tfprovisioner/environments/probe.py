"""Does TensorFlow really work in an environment? Asked of a plain process, with a limit: a bad import can hang."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfkernels import env_vars
from tfprovisioner.conda.activation import activation
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.system import subprocesses

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
print("tfkernels-probe " + json.dumps({
    "tensorflow": tf.__version__, "python": platform.python_version(), "numpy": np.__version__,
    "ipykernel": ipykernel.ipkernel.__name__ and __import__("ipykernel").__version__}))
"""

_LOADING = """
import bz2, ctypes, hashlib, json, lzma, multiprocessing.synchronize, os, platform, sqlite3, ssl, sys, zlib
ctypes.PyDLL(sys.argv[1], mode=os.RTLD_NOW)
print("tfkernels-probe " + json.dumps(platform.python_version()), flush=True)
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
print("tfkernels-probe " + json.dumps(devices))
"""


@dataclass(frozen=True)
class Findings:
    """What an environment said about itself."""

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
    return Findings(**json.loads(_answer(python, [_IMPORTING], variables, writing)))


def loads(python: Path, library: Path) -> str:
    """The version of ``python``, if it has all of its parts, and TensorFlow's libraries can be loaded with it.

    ``library`` is the one that needs all others. Raises ``BrokenEnvironment``.
    """
    return str(json.loads(_answer(python, [_LOADING, str(library)], _variables(python), writing=False)))


def gpus_seen(python: Path, own: Mapping[str, str], writing: bool = True) -> tuple[str, ...]:
    """The GPUs that TensorFlow sees with the variables of a kernelspec. Raises ``BrokenEnvironment``."""
    variables = {
        **env_vars.cleaned(os.environ),
        **own,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return tuple(json.loads(_answer(python, [_GPU_SCRIPT], variables, writing)))


def _variables(python: Path) -> dict[str, str]:
    variables = {**env_vars.cleaned(os.environ), **activation(python.parent.parent).variables}
    variables["CUDA_VISIBLE_DEVICES"] = "-1"  # no memory of a GPU that is at work is taken
    variables["TF_CPP_MIN_LOG_LEVEL"] = "2"
    return variables


def _answer(python: Path, script: Sequence[str], variables: Mapping[str, str], writing: bool) -> str:
    # -I: what lies in the current folder (a random.py, say) is not part of the environment
    command = [python, "-I", *([] if writing else ["-B"]), "-c", *script]
    try:
        with subprocesses.started(command, env=variables, stderr=subprocess.PIPE) as process:
            output, complaints = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise BrokenEnvironment(f"importing TensorFlow with {python} took longer than {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise BrokenEnvironment(f"{python} cannot be started: {error.strerror}") from None
    for line in output.splitlines():
        if line.startswith("tfkernels-probe "):
            return line.partition(" ")[2]
    last = "\n".join((complaints or output).strip().splitlines()[-6:])
    raise BrokenEnvironment(f"importing TensorFlow and running an op failed (exit code {process.returncode}):\n{last}")
