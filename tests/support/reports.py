"""Small batches as they are found in an output, for the tests of the report: real values, and no kernel."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfkernels.recording import VALUE
from tfkernels.transfer.encoder import ValueMessage
from tfprovisioner.batch.outcomes import FAILED, PASSED, Failure, Outcome
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.tasks import expand

RELEASES = {"tf1": "1.15.5", "tf2.4": "2.4.4", "tf2.11": "2.11.1", "tf2": "2.21.0"}

HOSTILE = "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x'>"


def kept(name: str, value: Any, rtol: float | None = None, atol: float | None = None) -> Record:
    """As ``tfkernels.record`` leaves it in a notebook."""
    content = bytes(ValueMessage({VALUE: value}).to_bytes())
    digest = hashlib.sha256(content).hexdigest()
    return Record(name, "", rtol, atol, digest, len(content), b64encode(content).decode(), Path(digest))


def batch(
    folder: Path,
    recorded: Mapping[str, Mapping[str, Any]],
    *,
    sources: tuple[str, ...] = ("train.ipynb",),
    failing: Mapping[str, Failure] | None = None,
    grid: Mapping[str, Any] | None = None,
) -> list[Found]:
    """A run of every source on every kernel; ``recorded`` has values, or records, by kernel and name."""
    found = []
    for run in expand(sources, list(recorded), grid=grid):
        failure = (failing or {}).get(run.kernel)
        outcome = Outcome(
            run,
            FAILED if failure else PASSED,
            "f" * 64,
            RELEASES.get(run.kernel, f"{run.kernel[2:]}.0"),
            "3.13.0",
            started="2026-11-24T02:00:00+00:00",
            seconds=3.25,
            host="mill",
            failure=failure,
        )
        records = [
            item if isinstance(item, Record) else kept(name, item) for name, item in recorded[run.kernel].items()
        ]
        path = folder / f"{run.name}.ipynb"
        folder.mkdir(parents=True, exist_ok=True)
        cells = [{"cell_type": "code", "source": f"cell_{place} = {place}"} for place in range(6)]
        path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
        source = f"cell_{failure.cell} = {failure.cell}" if failure else ""
        found.append(Found(outcome, path, records, source))
    return found


def usual(folder: Path) -> list[Found]:
    """Two notebooks on four releases: what is equal, close, different, missing and failed in the way real ones are."""
    random = np.random.RandomState(0)
    image = random.normal(size=(2, 32, 32, 3)).astype("float32")
    resized = image.copy()
    resized[:, 1::2] += np.float32(0.1) * random.normal(size=resized[:, 1::2].shape).astype("float32")
    products = random.normal(size=(8, 8)).astype("float32")
    chances = random.dirichlet(np.ones(10), size=32).astype("float32")
    weights = {f"dense_{place}": random.normal(size=(16, 16)).astype("float32") for place in range(4)}
    changed = {name: value * np.float32(1 + 1e-3 * (name > "dense_1")) for name, value in weights.items()}
    early = {"matmul": products, "softmax": chances, "resize": image, "loss": np.float32(0.69314), "weights": weights}
    late = {
        **early, "softmax": chances * np.float32(1 + 1e-7), "resize": resized, "loss": np.float32(0.70211),
        "weights": changed, "labels": ["cat", "dog"],
    }  # fmt: skip
    by_kernel = {"tf1": early, "tf2.4": {**late, "resize": image}, "tf2.11": late, "tf2": late}
    ops = batch(folder, by_kernel, sources=("notebooks/ops.ipynb",))
    trained = {name: {"loss": 2.5 + number * 1e-8, "accuracy": 0.97} for number, name in enumerate(by_kernel)}
    trained["tf2"] = {"loss": 2.5}
    failure = Failure(
        "AttributeError",
        "module 'tensorflow' has no attribute 'Session'",
        3,
        "Traceback (most recent call last)\n  Cell In[4], line 1\n\x1b[31mAttributeError\x1b[0m: no 'Session'",
    )
    return ops + batch(folder, trained, sources=("notebooks/train.ipynb",), failing={"tf2": failure})


LINES = [f"tf1.{minor}" for minor in range(16)] + [f"tf2.{minor}" for minor in range(22)]


def every_release(folder: Path) -> list[Found]:
    """One notebook on a kernel of each release line, in an order of its own. The values change between releases."""
    plain = np.linspace(0, 1, 6, dtype="float32")
    recorded: dict[str, dict[str, Any]] = {}
    for place, kernel in enumerate(LINES):
        grown = plain + np.float32(place >= 16) * np.float32(0.25 + place / 64)
        near = plain * np.float32(1 + 1e-7 * (kernel in ("tf1.5", "tf1.6")))
        recorded[kernel] = {
            "matmul": plain,
            "resize": plain + np.float32(0.5) * (place >= 16),
            "grown": grown,
            "near": near,
        }
        recorded[kernel].update({"LSTM": plain} if place >= 4 else {})
    backwards = {kernel: recorded[kernel] for kernel in ["tf1.15", *reversed(LINES)]}
    failure = Failure("ValueError", "no such thing", 2)
    return batch(folder, backwards, sources=("parity_matrix.ipynb",), failing={"tf2.7": failure})
