"""Files of strangers: what they try is refused, and damage of any kind ends in ``UnreadableFile``."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support import saved_models as write
from tests.support.saved_models import field, layer, message, model, numbers, shape, varint
from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers.snappy import decompress
from tfkernels.saved_models.read import read
from tfprovisioner.cli.app import app

_CONFIG = model(layer("Dense", "dense"))


def _h5(path: Path) -> Path:
    return write.keras_h5(path, {"dense": {"dense/kernel:0": numbers(2, 3)}}, _CONFIG)


def _replaced(path: Path, make: Callable[[h5py.Group], object]) -> Path:
    with h5py.File(_h5(path), "a") as file:
        group = file["model_weights/dense/dense"]
        del group["kernel:0"]
        make(group)
    return path


def _secret(path: Path) -> str:
    with h5py.File(path, "w") as file:
        file["secret"] = numbers(2, 3)
    return str(path)


def test_links_out_of_an_hdf5_file_are_refused(tmp_path: Path) -> None:
    secret = _secret(tmp_path / "secret.h5")
    layout = h5py.VirtualLayout((2, 3), "float32")
    layout[:] = h5py.VirtualSource(secret, "secret", (2, 3))
    raw = tmp_path / "raw"
    raw.write_bytes(numbers(2, 3).tobytes())
    tries: dict[str, Callable[[h5py.Group], object]] = {
        "is a link": lambda group: group.__setitem__("kernel:0", h5py.ExternalLink(secret, "/secret")),
        "is a link;": lambda group: group.__setitem__("kernel:0", h5py.SoftLink("/model_weights")),
        "in another file": lambda group: group.create_virtual_dataset("kernel:0", layout),
        "are in another file": lambda group: group.create_dataset(
            "kernel:0", (2, 3), "float32", external=[(str(raw), 0, h5py.h5f.UNLIMITED)]
        ),
    }
    for number, (why, make) in enumerate(tries.items()):
        with pytest.raises(UnreadableFile, match=why):
            read(_replaced(tmp_path / f"{number}.h5", make))


def test_huge_shapes_in_hdf5_are_refused(tmp_path: Path) -> None:
    tries: list[Callable[[h5py.Group], object]] = [
        lambda group: group.create_dataset("kernel:0", (1 << 31, 1 << 31), "float32", chunks=(1, 1 << 10)),
        lambda group: group.create_dataset("kernel:0", data=np.zeros((4000, 4000), "float32"), compression="gzip"),
    ]
    for number, make in enumerate(tries):
        with pytest.raises(UnreadableFile, match="would expand"):
            read(_replaced(tmp_path / f"{number}.h5", make))


def test_groups_that_contain_themselves_end(tmp_path: Path) -> None:
    write.keras_archive(tmp_path / "m.keras", _CONFIG, {"layers/dense/vars/0": numbers(2)})
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["layers/dense/layers"] = file["layers"]
    with pytest.raises(UnreadableFile, match=r"depth|expand"):
        read(tmp_path / "m.h5")


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "C:/x"])
def test_addresses_in_archives_are_refused(tmp_path: Path, name: str) -> None:
    path = write.keras_archive(tmp_path / "m.keras", _CONFIG, {})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(UnreadableFile, match="address outside"):
        read(path)


def test_archives_that_explode_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (40 << 20))
    with pytest.raises(UnreadableFile, match="would expand"):
        read(path)
    lying = path.read_bytes().replace((40 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(lying)
    with pytest.raises(UnreadableFile):
        read(path)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    deep = message((1, 1))
    for _ in range(2000):
        deep = field(2, deep)
    (tmp_path / "deep.pb").write_bytes(deep)
    with pytest.raises(UnreadableFile):
        read(tmp_path / "deep.pb")
    config = _CONFIG
    for number in range(100):
        config = {**model(config | {"name": "m"}, name=f"m{number}"), "name": f"m{number}"}
    with pytest.raises(UnreadableFile, match=r"deep|depth"):
        read(write.keras_h5(tmp_path / "deep.h5", {}, config))
    for text in ("[" * 100_000, '{"a":' * 5_000):
        with zipfile.ZipFile(tmp_path / "deep.keras", "w") as archive:
            archive.writestr("config.json", text)
        with pytest.raises(UnreadableFile):
            read(tmp_path / "deep.keras")


def test_constants_larger_than_their_graph_are_refused(tmp_path: Path) -> None:
    value = message((1, 1), (2, shape([1 << 20, 1 << 20]))) + field(5, b"\0\0\0\0")
    graph = write.graph(message((1, "w"), (2, "Const"), (5, write.entry("value", field(8, value)))))
    (tmp_path / "g.pb").write_bytes(graph)
    with pytest.raises(UnreadableFile, match="would expand"):
        read(tmp_path / "g.pb")


def test_snappy_is_read_and_bombs_are_not() -> None:
    assert decompress(memoryview(varint(13) + b"\x08abc" + b"\x15\x03" + b"\x00x")) == b"abcabcabcabcx"
    for damaged in (varint(1 << 40) + b"\0a", varint(4) + b"\x0cab", varint(4) + b"\x0d\x09", varint(9) + b"\0a"):
        with pytest.raises(UnreadableFile):
            decompress(memoryview(damaged))


def test_nothing_of_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eval", "exec", "compile"):
        monkeypatch.setattr(f"builtins.{name}", lambda *arguments, **options: pytest.fail("executed"))
    code = layer("Lambda", "code", function=["4wAAAA==\n", None, None], module="os", function_type="lambda")
    other = layer("mine.module>Layer", "other") | {"module": "antigravity", "registered_name": "Layer"}
    saved = read(write.keras_h5(tmp_path / "m.h5", {}, model(code, other)))
    assert [one.name for one in saved.custom_objects] == ["Layer"]
    assert len(saved.lambdas) == 1


def test_command_names_the_file_and_the_cause(tmp_path: Path) -> None:
    pickle = tmp_path / "model.pkl"
    pickle.write_bytes(b"\x80\x04\x95\x00\x00\x00.")
    for path, cause in ((pickle, "it may be a pickle"), (tmp_path / "none", "there is no such file or folder")):
        result = CliRunner().invoke(app, ["inspect", str(path)])
        assert result.exit_code == 1
        assert f"Cannot read {path}: {cause}" in " ".join(result.output.split()).replace("\n", "")


def _specimens(folder: Path) -> list[Path]:
    """One small file of each format, whose bytes may be damaged."""
    prefix = write.bundle(folder / "two", {"a/w": numbers(3), "a/w/Adam": numbers(3), "n": np.array(1)})
    objects = b"".join(
        field(1, one) for one in (write.holder({"w": 1}), write.value_object("w/.ATTRIBUTES/VARIABLE_VALUE", "w"))
    )
    write.bundle(folder / "objects", {"w/.ATTRIBUTES/VARIABLE_VALUE": numbers(2)}, objects)
    (folder / "g.pb").write_bytes(
        write.graph(write.node("w", "Const", value=numbers(2, 3)), write.node("y", "Relu", ["w"]))
    )
    signature = write.signature({"x": [2]}, {"y": [2]})
    (folder / "m.meta").write_bytes(write.metagraph(["serve"], serving_default=signature))
    archive = write.keras_archive(folder / "m.keras", _CONFIG, {"layers/dense/vars/0": numbers(2, 3)})
    return [Path(f"{prefix}.index"), folder / "objects.index", folder / "objects.data-00000-of-00001", folder / "g.pb",
            folder / "m.meta", archive]  # fmt: skip


def test_damaged_files_are_refused_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever bytes are changed, cut off or put in between: an array, or our error; and no checksum saves us."""
    monkeypatch.setattr("tfkernels.saved_models.containers.table.unmasked", lambda stored: stored)
    monkeypatch.setattr("tfkernels.saved_models.containers.table.crc32c", _Equal)
    draw = random.Random(20)  # noqa: S311 (the same damage in each run)
    refused = 0
    for path in _specimens(tmp_path):
        whole = path.read_bytes()
        for _ in range(150):
            path.write_bytes(_damaged(whole, draw))
            source = tmp_path / "objects" if ".data-" in path.name else path
            try:
                saved = read(source)
                saved.arrays()
                repr(saved)
            except UnreadableFile:
                refused += 1
        path.write_bytes(whole)
        read(tmp_path / "objects" if ".data-" in path.name else path).arrays()
    assert refused > 200


def test_configurations_with_odd_values_are_refused_or_read(tmp_path: Path) -> None:
    draw = random.Random(21)  # noqa: S311 (the same damage in each run)
    code = {"class_name": "__lambda__", "config": {"code": "4wAA"}}
    inner = {
        **model(layer("Dense", "a", activation={"class_name": "Odd", "config": {}}), name="inner"),
        "name": "inner",
    }
    config = model(
        layer("InputLayer", "input_1", batch_input_shape=[None, 3]),
        inner,
        layer("Bidirectional", "both", layer=layer("LSTM", "lstm")),
        layer("RNN", "cells", cell=layer("StackedRNNCells", "c", cells=[layer("GRUCell", "g")])),
        layer("Lambda", "code", function=code),
    ) | {
        "compile_config": {"optimizer": {"class_name": "Adam", "config": {}}, "loss": ["mse"], "metrics": {"a": ["b"]}}
    }
    objects = {"layers/functional/layers/dense/vars/0": numbers(2), "optimizer/vars/0": np.array(1)}
    path = write.keras_archive(tmp_path / "m.keras", config, objects)
    odd: Any
    for _ in range(100):
        odd = draw.choice([None, 7, -1.5, "text", [], [[]], {}, {"class_name": 3}, [None, "a", 1], True, "a" * 300])
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps(_with(config, odd, draw)))
            archive.write(tmp_path / "m.h5", "model.weights.h5")
        try:
            saved = read(path)
            repr(saved)
            saved._repr_html_()
        except UnreadableFile:
            pass


def _with(value: Any, odd: Any, draw: random.Random) -> Any:
    """A copy in which one value, somewhere, is another."""
    if not isinstance(value, (dict, list)) or not value or draw.random() < 0.08:
        return odd
    if isinstance(value, list):
        place = draw.randrange(len(value))
        return [_with(one, odd, draw) if number == place else one for number, one in enumerate(value)]
    chosen = draw.choice(sorted(value))
    return {key: _with(one, odd, draw) if key == chosen else one for key, one in value.items()}


class _Equal:
    """A checksum that equals all others."""

    def __init__(self, data: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _damaged(whole: bytes, draw: random.Random) -> bytes:
    data = bytearray(whole)
    kind = draw.randrange(4)
    place = draw.randrange(len(data))
    if kind == 0:
        return bytes(data[:place])
    if kind == 1:
        data[place:place] = draw.randbytes(draw.randrange(1, 9))
    elif kind == 2:
        data[place : place + draw.randrange(1, 9)] = b""
    for _ in range(draw.randrange(1, 4)):
        data[draw.randrange(len(data))] = draw.choice([0, 0xFF, 0x7F, 0x80, draw.randrange(256)])
    return bytes(data)
