"""Building a release for real and trying what people do with it: each check in a plain process, then in a kernel."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
from jupyter_client.manager import run_kernel

import tfkernels
from tfprovisioner.catalogue import locks, releases, verified
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.catalogue.verified import Result
from tfprovisioner.environments import tensorflow_checks
from tfprovisioner.environments.installed import installed
from tfprovisioner.environments.run_checks import trial
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import install
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.requirements.request import InstallRequest

TIMEOUT = 300.0
"""Seconds for one check; a bad import can hang."""

_PACKAGES = ("numpy", "protobuf", "h5py", "keras", "tensorboard", "ipykernel", "ipython", "ipywidgets", "setuptools")

_OP = """
import tensorflow as tf
product = tf.matmul(tf.constant([[1., 2.]]), tf.constant([[3.], [4.]]))
if tf.__version__.startswith("1."):
    product = tf.Session().run(product)
print("product", float(product[0][0]))
"""

_SLIDER = """
import ipywidgets
slider = ipywidgets.IntSlider(7)
slider
"""

_VIEW = "application/vnd.jupyter.widget-view+json"


class Absent(Exception):
    """The release came before the feature."""


def verify(release: Release, python: str, say: Callable[[str], None]) -> Result:
    """Builds a release on a Python, tries it, and deletes it again."""
    assert release.lock is not None
    outcomes: dict[str, str] = {}
    seconds: dict[str, float] = {}
    packages: dict[str, str] = {}
    size = 0
    # A data folder and a Jupyter of its own; both are deleted afterwards.
    with tempfile.TemporaryDirectory(prefix="catalogue_builder-") as folder, patch.dict(os.environ):
        os.environ["TFKERNELS_HOME"] = f"{folder}/home"
        os.environ["JUPYTER_DATA_DIR"] = os.environ["JUPYTER_PATH"] = f"{folder}/jupyter"
        started = time.monotonic()
        try:
            made = install.install(InstallRequest(release.version, user=True, python=python))
        except ProvisionError as error:
            outcomes["install"] = " ".join(str(error).split())[:500]
        else:
            outcomes["install"] = "ok"
            seconds["install"] = round(time.monotonic() - started, 1)
            size, found = made.environment.size, installed(made.environment.folder)
            packages = {name: found[name].version for name in sorted(found) if name in _PACKAGES}
            for name, check in _CHECKS.items():
                say(name)
                started = time.monotonic()
                outcomes[name] = _outcome(check, made)
                if name in ("import", "kernel"):
                    seconds[name] = round(time.monotonic() - started, 1)
    return Result(
        version=release.version,
        python=python,
        lock=verified.fingerprint(locks.chosen(release.lock, python, releases.platform_name())),
        platform=releases.platform_name(),
        date=date.today().isoformat(),
        checks=outcomes,
        packages=packages,
        size=size,
        seconds=seconds,
    )


def _outcome(check: Callable[[Installed], None], made: Installed) -> str:
    try:
        check(made)
    except Absent as absent:
        return f"{verified.ABSENT}: {absent}"
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the result)
        return " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return "ok"


def _in_environment(name: str, made: Installed) -> None:
    """One of the checks that a plain process of the environment does."""
    outcome = trial(made.environment.python, name)
    if outcome.startswith(verified.ABSENT):
        raise Absent(outcome.removeprefix(f"{verified.ABSENT}: "))
    assert outcome == "ok", outcome


def _kernel(made: Installed) -> None:
    """As a notebook's own kernel, through the kernelspec and our launcher."""
    with run_kernel(kernel_name=made.name, startup_timeout=120) as client:
        text = _text(_run(client, _OP))
    assert "product 11.0" in text, text[-300:]


def _values(made: Installed) -> None:
    """As the other kernel of a magic: an array goes there and comes back."""
    sent = np.arange(12.0, dtype="float32").reshape(3, 4)
    with tfkernels.kernel(made.name) as other:
        other["x"] = sent
        other.run("y = x * 2")
        assert np.array_equal(other["y"], sent * 2)


def _widgets(made: Installed) -> None:
    """A slider is shown, and is moved as a page moves it."""
    if "ipywidgets" not in installed(made.environment.folder):
        raise Absent("ipywidgets 8 needs Python 3.7")
    with run_kernel(kernel_name=made.name, startup_timeout=120) as client:
        contents = _run(client, _SLIDER)
        views = [content["data"][_VIEW] for content in contents if _VIEW in content.get("data", {})]
        assert len(views) == 1, _text(contents)[-300:]
        moved = {"method": "update", "state": {"value": 9}, "buffer_paths": []}
        content = {"comm_id": views[0]["model_id"], "data": moved}
        client.shell_channel.send(client.session.msg("comm_msg", content))
        text = _text(_run(client, "print('slider at', slider.value)"))
    assert "slider at 9" in text, text[-300:]


def _run(client: Any, code: str) -> list[dict[str, Any]]:
    """The contents of all messages that a cell leads to."""
    contents: list[dict[str, Any]] = []
    client.execute_interactive(code, timeout=TIMEOUT, output_hook=lambda message: contents.append(message["content"]))
    return contents


def _text(contents: Iterable[dict[str, Any]]) -> str:
    return "".join(content.get("text") or "\n".join(content.get("traceback", [])) for content in contents)


_CHECKS: dict[str, Callable[[Installed], None]] = {
    **{name: partial(_in_environment, name) for name in tensorflow_checks.CHECKS},
    "kernel": _kernel,
    "values": _values,
    "widgets": _widgets,
}
