"""Settings of a layer that its inputs, weights and outputs show."""

from __future__ import annotations

from typing import Dict, Iterator

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.numbers import close
from tfkernels.diagnosis.rules.rule import Case, Rule, Test

Settings = Dict[str, str]


def differing(case: Case) -> Iterator[tuple[str, Settings, Settings]]:
    """Layers whose outputs no common setting explains, with the most similar settings of both sides."""
    for step in range(min(case.facts.steps, 1)):
        outputs = case.a.arrays(step, "output")
        others = case.b.arrays(step, "output")
        for layer in outputs:
            if layer not in others:
                continue
            ours = case.facts.settings(0, step, layer)
            theirs = case.facts.settings(1, step, layer)
            if not ours or not theirs or set(ours) & set(theirs):
                continue
            pairs = [(dict(x), dict(y)) for x in ours for y in theirs if x[0] == y[0]]
            if pairs:
                x, y = min(pairs, key=lambda pair: sum(pair[0][key] != pair[1].get(key) for key in pair[0]))
                yield layer, x, y


def _setting(key: str, words: str) -> Test:
    def test(case: Case) -> Evidence | None:
        found = [
            each for each in differing(case) if each[1]["layer"] != "dropout" and each[1].get(key) != each[2].get(key)
        ]
        if not found:
            return None
        layer, x, y = found[0]
        text = words.format(layer=layer, x=x[key], y=y[key], a=case.names[0], b=case.names[1])
        return Evidence(text, {"a": x[key], "b": y[key], "layers": [name for name, _, _ in found][:20]}, layer, 1)

    return test


def _dropout(case: Case) -> Evidence | None:
    for layer, x, y in differing(case):
        if x["layer"] != "dropout" or close(float(x["factor"]), float(y["factor"]), 2e-3):
            continue
        drops = [100 * (1 - float(each["kept"])) for each in (x, y)]
        rates = [100 * (1 - 1 / float(each["factor"])) for each in (x, y)]
        (a, b), off = case.names, [rate < 0.1 for rate in rates]
        if off[0] != off[1]:
            where, other = (a, b) if off[0] else (b, a)
            words = (
                f"{layer} drops nothing in {where} and {max(rates):.0f} % in {other}: one "
                "runs in inference mode, or has rate 0"
            )
        else:
            words = (
                f"{layer} drops {drops[0]:.0f} % in {a} and {drops[1]:.0f} % in {b} (factors "
                f"{x['factor']} and {y['factor']})"
            )
            if abs(sum(rates) - 100) < 2:
                words += ": a rate was taken for keep_prob"
        return Evidence(words, {"dropped": drops, "rates": rates}, layer, 1)
    return None


def _masks(case: Case) -> Evidence | None:
    for layer, x, y in differing(case):
        if x["layer"] == "dropout" and close(float(x["factor"]), float(y["factor"]), 2e-3):
            first = case.first
            if first is None or first.name != layer:
                continue
            words = (
                f"{layer} has one rate in both and drops other elements. Hand over the masks, "
                "trace_training(..., masks=a), to compare what follows"
            )
            return Evidence(words, {"factor": float(x["factor"])}, layer, 1)
    return None


def _other_input(case: Case) -> Evidence | None:
    """A layer that computes the same in both, from another output."""
    if case.first is None or case.step:
        return None
    name = case.first.name
    ours, theirs = (case.facts.explained(which, 0, name) for which in (0, 1))
    if not set(ours.settings) & set(theirs.settings) or ours.source == theirs.source:
        return None
    words = (
        f"layer {name} is equal by itself: its input is {ours.source} in {case.names[0]} "
        f"and {theirs.source} in {case.names[1]}"
    )
    return Evidence(words, {"a": ours.source, "b": theirs.source}, name)


def _rule(id: str, key: str, title: str, releases: str, words: str, cells: tuple[str, str]) -> Rule:  # noqa: A002
    return Rule(id, "output", "layer", title, releases, _setting(key, words), cells, by_itself=True)


_TF = "import numpy as np\nimport tensorflow as tf\n"
_IMAGE = _TF + 'image, kernel = np.arange(16, dtype="float32").reshape(1, 4, 4, 1), np.ones((3, 3, 1, 1), "float32")\n'
_DENSE = _TF + 'x = np.linspace(-2, 2, 5, dtype="float32")\n'

RULES = (
    _rule(
        "padding",
        "padding",
        "Padding of a convolution",
        "TensorFlow's `same` with a stride of 2 pads one pixel after the image; PyTorch and Caffe pad on both sides.",
        "layer {layer}: padding is {x} in {a} and {y} in {b}; by itself, it is equal with the other's padding",
        (
            _IMAGE + 'x = tf.nn.conv2d(image, kernel, strides=[1, 2, 2, 1], padding="SAME")',
            _IMAGE
            + 'image = np.pad(image, [(0, 0), (1, 1), (1, 1), (0, 0)], "constant")\n'
            + 'x = tf.nn.conv2d(image, kernel, strides=[1, 2, 2, 1], padding="VALID")',
        ),
    ),
    _rule(
        "activation",
        "activation",
        "Activation function",
        (
            "`tf.layers.dense` and Keras's `Dense` have none by default, `tf.contrib.layers` "
            "have relu; `leaky_relu` has 0.2 in `tf.nn` and 0.3 in Keras 2's layer; "
            "GELU is exact or approximate."
        ),
        "layer {layer}: the activation is {x} in {a} and {y} in {b}",
        (
            _DENSE + "x = tf.nn.leaky_relu(x)  # 0.2",
            _DENSE + "x = tf.nn.leaky_relu(x, alpha=0.3)  # as Keras 2's LeakyReLU",
        ),
    ),
    _rule(
        "normalization-statistics",
        "statistics",
        "Batch normalisation uses the batch's or the moving statistics",
        (
            "`training` is an argument in TensorFlow 2, a placeholder or `is_training` "
            "in graphs; a frozen layer is in inference mode since 2.0."
        ),
        (
            "layer {layer}: normalises with {x} statistics in {a} and with {y} statistics "
            "in {b}: the training flag, or a frozen layer"
        ),
        (
            "import numpy as np\nv = np.arange(4.0)\nx = (v - v.mean()) / np.sqrt(v.var() + 1e-3)",
            "import numpy as np\nv = np.arange(4.0)\nx = (v - 0.0) / np.sqrt(1.0 + 1e-3)",
        ),
    ),
    _rule(
        "normalization-epsilon",
        "epsilon",
        "Epsilon of a normalisation",
        "Keras has 1e-3; `tf.nn` has none; `tf.contrib.layers.layer_norm` has 1e-12; PyTorch has 1e-5.",
        "layer {layer}: epsilon is {x} in {a} and {y} in {b}",
        (
            "import numpy as np\nv = np.arange(4.0)\nx = (v - v.mean()) / np.sqrt(v.var() + 1e-3)",
            "import numpy as np\nv = np.arange(4.0)\nx = (v - v.mean()) / np.sqrt(v.var() + 1e-5)",
        ),
    ),
    _rule(
        "gate-formula",
        "gates",
        "Gates of a recurrent layer are read in another order",
        "Keras has i, f, c, o; TensorFlow's cells have i, c, f, o.",
        "layer {layer}: gate order {x} in {a} and {y} in {b}",
        (
            'gates = "i f c o".split()\nx = [ord(each) for each in gates]',
            'gates = "i c f o".split()\nx = [ord(each) for each in gates]',
        ),
    ),
    _rule(
        "forget-bias",
        "added to the forget gate",
        "A number is added to the forget gate",
        "`BasicLSTMCell` adds `forget_bias=1.0` when it runs; Keras starts with a bias of 1 instead.",
        "layer {layer}: {x} is added to the forget gate in {a} and {y} in {b}: forget_bias of TensorFlow's cells",
        (
            "import numpy as np\ng = np.linspace(-2, 2, 5)\nx = 1 / (1 + np.exp(-(g + 1.0)))",
            "import numpy as np\ng = np.linspace(-2, 2, 5)\nx = 1 / (1 + np.exp(-g))",
        ),
    ),
    _rule(
        "recurrent-activation",
        "recurrent activation",
        "Activation of the gates",
        (
            "Keras 1 and 2 in TensorFlow 1 have `hard_sigmoid`, TensorFlow 2 `sigmoid`; "
            "Keras 3's `hard_sigmoid` has slope 1/6 instead of 1/5."
        ),
        "layer {layer}: the gates' activation is {x} in {a} and {y} in {b}",
        (
            "import numpy as np\ng = np.linspace(-2, 2, 5)\nx = np.clip(0.2 * g + 0.5, 0, 1)",
            "import numpy as np\ng = np.linspace(-2, 2, 5)\nx = 1 / (1 + np.exp(-g))",
        ),
    ),
    _rule(
        "reset-after",
        "reset_after",
        "A GRU resets before or after the product",
        "`reset_after` is False in TensorFlow 1's Keras and True in TensorFlow 2.",
        "layer {layer}: reset_after is {x} in {a} and {y} in {b}",
        (
            (
                "import numpy as np\nh, r, u = np.ones(2), np.array([0.2, 0.7]), np.array([[1.0, "
                "2.0], [3.0, 4.0]])\nx = (r * h) @ u"
            ),
            (
                "import numpy as np\nh, r, u = np.ones(2), np.array([0.2, 0.7]), np.array([[1.0, "
                "2.0], [3.0, 4.0]])\nx = r * (h @ u)"
            ),
        ),
    ),
    _rule(
        "direction",
        "direction",
        "Direction of a recurrent layer",
        "`go_backwards`; the second layer of a `Bidirectional`, whose outputs `dynamic_rnn` does not reverse.",
        "layer {layer}: reads {x} in {a} and {y} in {b}",
        ("import numpy as np\nx = np.arange(4.0)", "import numpy as np\nx = np.arange(4.0)[::-1]"),
    ),
    Rule(
        "another-input",
        "output",
        "layer",
        "A layer has another input",
        "A layer that is missing or at another place: a scale, a skip connection, an activation.",
        _other_input,
        (_DENSE + "x = tf.nn.relu(x + 1.0)", _DENSE + "x = tf.nn.relu(x) + 1.0"),
    ),
    Rule(
        "dropout-rate",
        "output",
        "layer",
        "Rate of dropout",
        "`tf.nn.dropout(x, 0.8)` keeps 80 % in TensorFlow 1 (keep_prob) and drops 80 % in TensorFlow 2 (rate).",
        _dropout,
        (
            _TF + 'tf.compat.v1.set_random_seed(1)\nx = tf.nn.dropout(np.ones(1000, "float32"), rate=0.2)',
            _TF + 'tf.compat.v1.set_random_seed(1)\nx = tf.nn.dropout(np.ones(1000, "float32"), rate=0.8)',
        ),
        by_itself=True,
    ),
    Rule(
        "dropout-masks",
        "output",
        "layer",
        "Dropout drops other elements",
        "Equal seeds do not make two releases draw equal numbers.",
        _masks,
        (
            "import numpy as np\nx = np.random.RandomState(1).binomial(1, 0.5, 20) * 2.0",
            "import numpy as np\nx = np.random.RandomState(2).binomial(1, 0.5, 20) * 2.0",
        ),
        by_itself=True,
    ),
)
