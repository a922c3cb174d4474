"""``tfkernels.inspect``, and ``tfkernels.weights`` and ``tfkernels.load_weights`` for files as well as for models."""

import os
from typing import Any, Dict, Mapping, Optional, Union

from tfkernels.models import weights as of_models
from tfkernels.models.keras_package import is_layer
from tfkernels.models.load_report import LoadReport
from tfkernels.saved_models.keras.live_model import tree_of
from tfkernels.saved_models.read import read, read_for
from tfkernels.saved_models.saved_file import SavedFile


def inspect(path: "Union[str, os.PathLike[str]]") -> SavedFile:
    """What a saved model contains: format, origin, layers, weights, optimizer. Nothing of it is executed.

    ``path`` is an ``.h5`` or ``.keras`` file, a SavedModel's folder, a checkpoint, a metagraph or a frozen graph, of
    any release. Raises ``UnreadableFile`` if it is none of them, is damaged, or asks for more than a model needs.
    """
    return read(path)


def weights(target: Any) -> Dict[str, Any]:
    """The weights of a model, a session or a file as a dict of NumPy arrays by name, in the model's order.

    Those of a Keras model are named after its layers as in :func:`trace`: ``inner/conv1/kernel``,
    ``lstm/recurrent_kernel``. Those of a session have the names of its graph's variables without ``:0``. Variables of
    optimizers, untrained scalars (``global_step``) and moving averages of variables are no weights. A dict of
    variables keeps its names.

    A text or a path is a file as for :func:`inspect`, whose weights get the same names. A file without the model's
    configuration, such as a checkpoint, may lack the names of models inside the model.

    In graph mode the values are those of Keras's session, which initialises what nobody has initialised. Raises
    ``WeightsError`` if there are none yet: the model is not built, or the variables are not initialised.
    """
    return read(target).arrays() if isinstance(target, (str, os.PathLike)) else of_models.weights(target)


def load_weights(
    target: Any,
    weights: "Union[Mapping[str, Any], str, os.PathLike[str]]",
    mapping: Optional[Mapping[str, str]] = None,
    partial: bool = False,
) -> LoadReport:
    """Sets the weights of a Keras model, of a session or of a dict of variables from a dict of arrays, or from a file.

    ``weights`` is what :func:`weights` gave in any release, any dict with names of variables, or a file as for
    :func:`inspect`: then places in ``target`` name its weights. A target finds its source, in this order: by
    ``mapping`` (``{target: source}``); by its name; by its name in another spelling (``conv1/weights:0`` for
    ``conv1/kernel``); by the same with scopes in front (``net/conv1/weights``); by its place among layers that differ
    in their numbers only (``dense_4``, ``dense_7`` for ``dense``, ``dense_1``); as the only one left of its kind and
    shape. Nothing is guessed between two candidates. Values take the variable's dtype.

    Returns a report of what came from where. Raises ``WeightsMismatch``, which carries the report, if a weight of the
    target has no source or one of another shape; then nothing is set. ``partial=True`` sets the layers that fit: of a
    layer all weights, or none. The layouts of CuDNN's layers are converted.
    """
    if isinstance(weights, (str, os.PathLike)):
        weights = _arrays_for(target, weights)
    return of_models.load_weights(target, weights, mapping, partial)


def _arrays_for(target: Any, path: "Union[str, os.PathLike[str]]") -> Dict[str, Any]:
    if is_layer(target):
        return read_for(path, tree_of(target)).arrays()
    saved = read(path)  # a session's own variables can be scalars, which a file cannot tell from counters
    scalars = {name: weight.read() for name, weight in saved.others.items() if weight.dtype.startswith(("f", "i"))}
    return {**saved.arrays(), **scalars}
