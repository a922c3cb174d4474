"""The models that ``--model`` builds again for specimens that do not tell all of them, compiled as they were trained.

A conversion runs this file by its path, in the old release and for modules in the target.
"""

import sys
from pathlib import Path
from typing import Any

_ROOT = str(Path(__file__).resolve().parents[2])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

from conversion_table.specimen_maker import keras_models  # noqa: E402
from conversion_table.specimen_maker.release import keras  # noqa: E402


def _compiled(name: str) -> Any:
    made = keras_models.ARCHITECTURES[name]()
    made.model.compile(optimizer=keras_models.optimizer(made.optimizer), loss=made.loss)
    return made.model


def mlp() -> Any:
    return _compiled("mlp")


def convolutions() -> Any:
    return _compiled("convolutions")


def resizing() -> Any:
    return _compiled("resizing")


def recurrent() -> Any:
    return _compiled("recurrent")


def several() -> Any:
    return _compiled("several")


def lambdas() -> Any:
    return _compiled("lambdas")


def module() -> Any:
    from conversion_table.specimen_maker.module import Net

    net = Net()
    net.optimizer = keras.optimizers.Adam(learning_rate=0.01)
    return net
