"""Saves the specimens in every format that the release of this process has, with an index beside them."""

import json
import os
import shutil
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import tensorflow as tf

from conversion_table.specimen_maker import graph, keras_models
from conversion_table.specimen_maker.release import VERSION, data, keras, v1

Save = Callable[[Any, str], Any]
Skipped = Tuple[str, str, str]


def make(folder: str) -> List[Skipped]:
    """Fills the folder anew. Returns what the release could not save: the architecture, the format, and why."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    maker = _Maker(folder)
    for name, build in keras_models.ARCHITECTURES.items():
        maker.attempt(name, "all", lambda name=name, build=build: maker.keras(name, build))  # type: ignore[misc]
    if VERSION >= (2, 0):
        maker.attempt("module", "all", maker.module)
    maker.attempt("graph", "all", maker.graph)
    with open(os.path.join(folder, "index.json"), "w", encoding="utf-8") as file:
        json.dump(maker.index, file, indent=1, sort_keys=True)
    return maker.skipped


class _Maker:
    """Keeps the index."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.index: List[Dict[str, Any]] = []
        self.skipped: List[Skipped] = []

    def attempt(self, architecture: str, kind: str, do: Callable[[], Any]) -> bool:
        try:
            do()
        except Exception as error:  # noqa: BLE001 (a release may fail in any way; the rest is made)
            self.skipped.append((architecture, kind, f"{type(error).__name__}: {str(error)[:300]}"))
            return False
        return True

    def keras(self, name: str, build: Callable[[], keras_models.Trained]) -> None:
        keras.backend.clear_session()
        np.random.seed(3)  # what Keras of that time draws with
        if VERSION < (2, 0):
            v1.set_random_seed(3)
        else:
            tf.random.set_seed(3)
        made = build()
        model, inputs = made.model, list(made.inputs.values())
        model.compile(optimizer=keras_models.optimizer(made.optimizer), loss=made.loss)
        targets = made.targets if len(made.targets) > 1 else made.targets[0]
        model.fit(inputs if len(inputs) > 1 else inputs[0], targets, batch_size=8, epochs=3, verbose=0)
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0])
        entry = self._entry(name, made.inputs, outputs if isinstance(outputs, list) else [outputs])
        entry.update(needs=made.needs, optimizer=type(model.optimizer).__name__, step=3)
        for kind, file, save in _keras_formats():
            path = self._path(name, kind, file)
            if self.attempt(name, kind, lambda path=path, save=save: save(model, path)):  # type: ignore[misc]
                self.index.append({**entry, "format": kind, "path": _exported(path) if kind == "exported" else path})

    def graph(self) -> None:
        made = graph.trained()
        given = data(6, 10, seed=77)
        entry = self._entry("graph", {"x": given}, [made.session.run(made.out, {made.x: given})])
        entry.update(optimizer="Adam", step=5)
        with made.graph.as_default():
            for kind, file, save in _graph_formats():
                path = self._path("graph", kind, file)
                found: List[str] = []
                if self.attempt("graph", kind, lambda path=path, save=save: found.append(save(made, path))):  # type: ignore[misc] # noqa: B023
                    self.index.append({**entry, "format": kind, "path": found[0]})

    def module(self) -> None:
        from conversion_table.specimen_maker.module import Net

        net, optimizer = Net(), keras.optimizers.Adam(learning_rate=0.01)
        for number in range(5):
            with tf.GradientTape() as tape:
                difference = net(tf.constant(data(8, 10, seed=number))) - tf.constant(data(8, 3, seed=number + 50))
                loss = tf.reduce_mean(tf.square(difference))
            variables = [net.w1, net.b1, net.w2]
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        given = data(6, 10, seed=77)
        entry = self._entry("module", {"x": given}, [net(tf.constant(given)).numpy()])
        entry.update(optimizer="Adam", step=5)
        checkpoint = tf.train.Checkpoint(net=net, optimizer=optimizer).save(self._path("module", "checkpoint", "ckpt"))
        self.index.append({**entry, "format": "checkpoint", "path": checkpoint})
        folder = self._path("module", "saved-model", "saved_model")
        tf.saved_model.save(net, folder)
        self.index.append({**entry, "format": "saved-model", "path": folder})

    def _entry(self, architecture: str, inputs: Dict[str, Any], outputs: List[Any]) -> Dict[str, Any]:
        """What all formats of a model have in common. Inputs and outputs are written beside them."""
        folder = os.path.join(self._folder, architecture)
        os.makedirs(folder)
        paths = {name: os.path.join(folder, f"{name}.npz") for name in ("inputs", "outputs")}
        np.savez(paths["inputs"], **inputs)
        np.savez(paths["outputs"], **{f"output_{number}": output for number, output in enumerate(outputs)})
        return {"architecture": architecture, "release": tf.__version__, "needs": [], **paths}

    def _path(self, architecture: str, kind: str, file: str) -> str:
        folder = os.path.join(self._folder, architecture, kind)
        os.makedirs(folder)
        return os.path.join(folder, file)


def _keras_formats() -> Iterator[Tuple[str, str, Save]]:
    """The formats of this release: the name, the name of the file, and what saves it."""
    yield "whole-h5", "model.h5", lambda model, path: model.save(path)
    yield "architecture-json", "architecture.json", _write_architecture
    if VERSION < (2, 12):
        yield "weights-h5", "model_weights.h5", lambda model, path: model.save_weights(path)
    else:
        yield "weights-h5", "model.weights.h5", lambda model, path: model.save_weights(path)
    if (2, 12) <= VERSION < (2, 16):
        yield "weights-h5-legacy", "model_weights.h5", lambda model, path: model.save_weights(path)
    if VERSION < (2, 16):
        yield "weights-checkpoint", "weights.ckpt", lambda model, path: model.save_weights(path)
    if VERSION >= (2, 0):
        yield "keras", "model.keras", lambda model, path: model.save(path)
    if (1, 15) <= VERSION < (2, 16):
        yield "saved-model", "saved_model", lambda model, path: model.save(path, save_format="tf")
    if VERSION == (1, 15):
        yield "exported", "exported", lambda model, path: keras.experimental.export_saved_model(model, path)
    if VERSION in ((1, 12), (1, 13)):
        yield "exported", "exported", lambda model, path: tf.contrib.saved_model.save_keras_model(model, path)
    if VERSION >= (2, 13):
        yield "export", "export", lambda model, path: model.export(path)


def _write_architecture(model: Any, path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(model.to_json())


def _exported(path: str) -> str:
    """1.12 exports into a folder with the time as its name."""
    return path if os.path.exists(os.path.join(path, "saved_model.pb")) else os.path.join(path, os.listdir(path)[0])


def _graph_formats() -> Iterator[Tuple[str, str, Callable[[graph.TrainedGraph, str], str]]]:
    yield "saver-v2", "model.ckpt", lambda made, path: _saved(made, path, v1.train.SaverDef.V2)
    yield "saver-v1", "model.ckpt", lambda made, path: _saved(made, path, v1.train.SaverDef.V1)
    yield "frozen", "frozen.pb", _frozen
    yield "saved-model-two-tags", "saved_model", _with_two_tags


def _saved(made: graph.TrainedGraph, path: str, version: Any) -> str:
    return str(v1.train.Saver(write_version=version).save(made.session, path, global_step=5))


def _frozen(made: graph.TrainedGraph, path: str) -> str:
    frozen = v1.graph_util.convert_variables_to_constants(made.session, made.graph.as_graph_def(), ["net/out"])
    with open(path, "wb") as file:
        file.write(frozen.SerializeToString())
    return path


def _with_two_tags(made: graph.TrainedGraph, path: str) -> str:
    builder, saved_model = v1.saved_model.builder.SavedModelBuilder(path), v1.saved_model
    infos = [{name: saved_model.utils.build_tensor_info(one)} for name, one in (("x", made.x), ("out", made.out))]
    signature = saved_model.signature_def_utils.build_signature_def(*infos, "tensorflow/serving/predict")
    builder.add_meta_graph_and_variables(made.session, ["train"], signature_def_map={"serving_default": signature})
    builder.add_meta_graph(["serve"], signature_def_map={"serving_default": signature})
    builder.save()
    return path
