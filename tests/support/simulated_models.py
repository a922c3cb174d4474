"""Small models of every kind in NumPy, with the settings in which releases differ.

``precise`` computes in float64 and rounds what is recorded, so that two correct models differ as those of two
releases do: in rounding.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.support.derivatives import (
    ACTIVATIONS,
    Node,
    convolution,
    inverse,
    root,
    softmax,
    tanh,
)

Array = Any
Settings = dict[str, Any]

DEFAULTS: Settings = {
    "model": "mlp",
    "steps": 3,
    "batch": 16,
    "precise": False,
    "seed": 1,
    "optimizer": "adam",
    "rate": 0.01,
    "schedule": None,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-7,
    "form": "outside",
    "bias_correction": True,
    "count": 0,
    "momentum": 0.9,
    "nesterov": False,
    "keras_momentum": False,
    "rho": 0.9,
    "start": 0.0,
    "weight_decay": 0.0,
    "loss": "logits",
    "reduction": "mean",
    "smoothing": 0.0,
    "l2": 0.0,
    "l2_half": False,
    "l2_biases": False,
    "l2_in_loss": True,
    "clip": None,
    "frozen": (),
    "stopped": (),
    "not_updated": (),
    "multipliers": {},
    "gradient_factor": 1.0,
    "gradient_decay": 0.0,
    "activation": "relu",
    "bn_momentum": 0.99,
    "bn_epsilon": 1e-3,
    "bn_training": True,
    "bn_updates": True,
    "bessel": False,
    "ln_epsilon": 1e-6,
    "dropout": 0.0,
    "mask_seed": 3,
    "padding": "same",
    "gates": "sigmoid",
    "forget": 0.0,
    "order": "ifco",
    "reset_after": True,
    "attention_scale": True,
    "residual": True,
    "shared": True,
    "mask": True,
    "average": None,
    "num_updates": False,
    "input": None,
    "target": None,
    "weights": None,
    "pool": "mean",
    "flatten": "last",
    "share": None,
    "leader": None,
    "rates": {},
    "loss_weight": 1.0,
}


@dataclass
class SimulatedModel:
    """One model, its weights and outputs; ``settings`` override :data:`DEFAULTS`."""

    settings: Settings
    weights: dict[str, Array] = field(default_factory=dict)
    moving: dict[str, Array] = field(default_factory=dict)
    outputs: dict[str, Array] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.settings) - set(DEFAULTS)
        assert not unknown, unknown
        self.settings = {**DEFAULTS, **self.settings}
        self.dtype: Any = np.dtype("float64" if self["precise"] else "float32")

    def _draw(self, name: str) -> np.random.RandomState:
        return np.random.RandomState(zlib.crc32(f"{self['seed']}/{name}".encode()))

    def __getitem__(self, name: str) -> Any:
        return self.settings[name]

    def weight(self, name: str, *shape: int, start: str = "random") -> Node:
        if name not in self.weights:
            scale = np.sqrt(2.0 / max(int(np.prod(shape[:-1])), 1))
            value = self._draw(name).normal(size=shape) * scale if start == "random" else np.full(shape, float(start))
            self.weights[name] = value.astype("float32").astype(self.dtype)
        if name not in self.nodes:
            self.nodes[name] = Node(self.weights[name])
        return self.nodes[name]

    def record(self, name: str, node: Node) -> Node:
        self.outputs[f"{name}:1" if name in self.outputs else name] = node.value.astype("float32")
        return node

    def dense(self, name: str, x: Node, units: int, activation: str = "linear") -> Node:
        z = x @ self.weight(f"{name}/kernel", x.value.shape[-1], units) + self.weight(f"{name}/bias", units, start="0")
        return self.record(name, ACTIVATIONS[activation](z))

    def batch_normalization(self, name: str, x: Node) -> Node:
        channels, axes = x.value.shape[-1], tuple(range(x.value.ndim - 1))
        gamma, beta = (
            self.weight(f"{name}/gamma", channels, start="1"),
            self.weight(f"{name}/beta", channels, start="0"),
        )
        mean, variance = x.mean(axes), None
        centred = x - mean
        variance = (centred * centred).mean(axes)
        old_mean = self.moving.setdefault(f"{name}/moving_mean", np.zeros(channels, self.dtype))
        old_var = self.moving.setdefault(f"{name}/moving_variance", np.ones(channels, self.dtype))
        epsilon = self.dtype.type(self["bn_epsilon"])
        if self["bn_training"]:
            y = centred * inverse(root(variance + epsilon)) * gamma + beta
        else:
            y = (x + (-old_mean)) * (1 / np.sqrt(old_var + epsilon)) * gamma + beta
        if self["bn_updates"] and self["bn_training"]:
            n = x.value.size // channels
            share = self.dtype.type(1 - self["bn_momentum"])
            batch_var = variance.value.reshape(-1) * (self.dtype.type(n / (n - 1)) if self["bessel"] else 1)
            self.moving[f"{name}/moving_mean"] = old_mean + share * (mean.value.reshape(-1) - old_mean)
            self.moving[f"{name}/moving_variance"] = old_var + share * (batch_var - old_var)
        return self.record(name, y)

    def layer_normalization(self, name: str, x: Node) -> Node:
        channels = x.value.shape[-1]
        gamma, beta = (
            self.weight(f"{name}/gamma", channels, start="1"),
            self.weight(f"{name}/beta", channels, start="0"),
        )
        centred = x - x.mean((-1,))
        variance = (centred * centred).mean((-1,))
        return self.record(name, centred * inverse(root(variance + self.dtype.type(self["ln_epsilon"]))) * gamma + beta)

    def dropout(self, name: str, x: Node, step: int) -> Node:
        rate = self["dropout"]
        if not rate:
            return self.record(name, x * self.dtype.type(1))
        uniform = np.random.RandomState(self["mask_seed"] + 100 * step).uniform(size=x.value.shape)
        return self.record(name, x * ((uniform >= rate) / (1 - rate)).astype(self.dtype))

    def lstm(self, name: str, x: Node, units: int) -> Node:
        kernel = self.weight(f"{name}/kernel", x.value.shape[-1], 4 * units)
        inner = self.weight(f"{name}/recurrent_kernel", units, 4 * units)
        bias, gate = self.weight(f"{name}/bias", 4 * units, start="0"), ACTIVATIONS[self["gates"]]
        h = c = Node(np.zeros((len(x.value), units), self.dtype))
        for t in range(x.value.shape[1]):
            z = x.part((slice(None), t)) @ kernel + h @ inner + bias
            parts = {
                letter: z.part((slice(None), slice(k * units, (k + 1) * units)))
                for k, letter in enumerate(self["order"])
            }
            new_c = gate(parts["f"] + self.dtype.type(self["forget"])) * c + gate(parts["i"]) * tanh(parts["c"])
            new_h = gate(parts["o"]) * tanh(new_c)
            if self["mask"]:
                used = np.any(x.value[:, t] != 0, axis=-1, keepdims=True).astype(self.dtype)
                new_c, new_h = new_c * used + c * (1 - used), new_h * used + h * (1 - used)
            h, c = new_h, new_c
        return self.record(name, h)

    def gru(self, name: str, x: Node, units: int) -> Node:
        kernel = self.weight(f"{name}/kernel", x.value.shape[-1], 3 * units)
        inner = self.weight(f"{name}/recurrent_kernel", units, 3 * units)
        bias, gate = self.weight(f"{name}/bias", 3 * units, start="0"), ACTIVATIONS[self["gates"]]
        h, one = Node(np.zeros((len(x.value), units), self.dtype)), self.dtype.type(1)
        columns = [(slice(None), slice(k * units, (k + 1) * units)) for k in range(3)]
        for t in range(x.value.shape[1]):
            z = x.part((slice(None), t)) @ kernel + bias
            state = h @ inner
            update, reset = (gate(z.part(columns[k]) + state.part(columns[k])) for k in (0, 1))
            third = reset * state.part(columns[2]) if self["reset_after"] else (reset * h) @ inner.part(columns[2])
            new = tanh(z.part(columns[2]) + third)
            h = update * h + (update * (-one) + one) * new
        return self.record(name, h)

    def forward(self, x: Array, step: int) -> Node:
        node = Node(x.astype(self.dtype))
        activation = self["activation"]
        if self["model"] == "mlp":
            node = self.dense("dense", node, 12, activation)
            node = self.dropout("dropout", node, step)
            node = self.dense("dense_1", node, 10, activation)
            return self.dense("dense_2", node, 4)
        if self["model"] == "bn":
            node = self.dense("dense", node, 12)
            node = self.batch_normalization("batch_normalization", node)
            node = self.record("activation", ACTIVATIONS[activation](node))
            return self.dense("dense_1", node, 4)
        if self["model"] == "conv":
            return self._convolutions(node, activation)
        if self["model"] in ("lstm", "gru"):
            node = (self.lstm if self["model"] == "lstm" else self.gru)(self["model"], node, 6)
            return self.dense("dense", node, 4)
        if self["model"] == "attention":
            return self._attention(node, activation)
        assert self["model"] == "shared"
        first = self.dense("dense", node, x.shape[-1], "tanh")
        if not self["shared"]:
            for part in ("kernel", "bias"):
                self.weights.setdefault(f"dense_copy/{part}", self.weights[f"dense/{part}"].copy())
        second = self.dense("dense" if self["shared"] else "dense_copy", first, x.shape[-1], "tanh")
        return self.dense("dense_1", second, 4)

    def _convolutions(self, node: Node, activation: str) -> Node:
        for name, channels, stride in (("conv2d", 5, 1), ("conv2d_1", 6, 2)):
            kernel = self.weight(f"{name}/kernel", 3, 3, node.value.shape[-1], channels)
            padding = self["padding"] if stride == 2 else "same"
            node = convolution(node, kernel, stride, padding) + self.weight(f"{name}/bias", channels, start="0")
            node = self.record(name, node)
            node = self.batch_normalization(f"batch_normalization{name[6:]}", node)
            node = self.record(f"activation{name[6:]}", ACTIVATIONS[activation](node))
        order = (0, 1, 2, 3) if self["flatten"] == "last" else (0, 3, 1, 2)
        if self["pool"] == "flatten":
            node = self.record("flatten", node.transpose(*order).reshape(len(node.value), -1))
        else:
            node = self.record("pooling", node.mean((1, 2)).reshape(len(node.value), -1))
        return self.dense("dense", node, 4)

    def _attention(self, node: Node, activation: str) -> Node:
        width = node.value.shape[-1]
        q, k, v = (self.dense(name, node, width) for name in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1)
        scores = self.record("scores", scores * self.dtype.type(1 / np.sqrt(width) if self["attention_scale"] else 1))
        mixed = self.record("attention", softmax(scores) @ v)
        if self["residual"]:
            mixed = mixed + node
        mixed = self.record("add", mixed)
        mixed = self.layer_normalization("layer_normalization", mixed)
        hidden = self.dense("dense", mixed, 12, activation)
        return self.dense("dense_1", self.record("mean", hidden.mean((1,)).reshape(len(hidden.value), -1)), 4)
