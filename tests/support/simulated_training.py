"""Training steps in NumPy, with the settings in which releases differ, as training traces.

Small models of every kind are trained by derivatives made here. ``precise`` computes in float64 and rounds what is
recorded, so that two correct trainings differ as two releases do: in rounding.
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
    log,
    log_softmax,
    root,
    sigmoid,
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
class Training:
    """One training; ``settings`` override :data:`DEFAULTS`."""

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

    def loss(self, z: Node, target: Array) -> Node:
        kind = self["loss"]
        if kind in ("mse", "mae"):
            error = z - Node(target)
            each = (error * error) if kind == "mse" else error.map(np.abs, lambda v, _: np.sign(v))
            total = each.sum() * self.dtype.type(1 / target.shape[-1])
        else:
            smoothing = self["smoothing"]
            target = (target * (1 - smoothing) + smoothing / target.shape[-1]).astype(self.dtype)
            if kind == "twice":
                logs = log_softmax(self.record("softmax", softmax(z)))
            elif kind == "probabilities":
                p = self.record("softmax", softmax(z))
                logs = log(p)
            elif kind == "sigmoid":
                p = sigmoid(z)
                both = log(p) * target + log(p * self.dtype.type(-1) + self.dtype.type(1)) * (1 - target)
                return _scaled(both.sum(), self.dtype.type(-1 / target.size))
            else:
                logs = log_softmax(z)
            total = (logs * target).sum() * self.dtype.type(-1)
        factor = {"mean": 1 / len(target), "sum": 1.0, "half": 0.5 / len(target)}[self["reduction"]]
        return _scaled(total, self.dtype.type(factor * self["loss_weight"]))

    def trace(self) -> dict[str, Any]:
        """The training trace of all steps."""
        slots: dict[str, dict[str, Array]] = {}
        averages: dict[str, Array] = {}
        steps: list[dict[str, Any]] = []
        before: dict[str, Array] = {}
        for step in range(self["steps"]):
            x, target = self._data(step)
            self.outputs, self.nodes = {}, {}
            if not step:
                self._build(x)
                before = _rounded({**self.weights, **self.moving})
                averages = {name: value.copy() for name, value in self.weights.items()}
            if step and self["leader"] is not None:
                led = self["leader"]["steps"][step - 1]
                self.weights = {name: led["weight"][name].astype(self.dtype) for name in self.weights}
            z = self.forward(x, step)
            data = self.loss(z, target.astype(self.dtype))
            penalty = self._penalty()
            total = data if penalty is None or not self["l2_in_loss"] else data + penalty
            total.backward()
            raw = {name: self.nodes[name].gradient for name in self.weights if name not in self["frozen"]}
            for name in self["stopped"]:
                raw[name] = np.zeros_like(raw[name])
            raw = {
                n: g * self.dtype.type(self["gradient_factor"] * self["multipliers"].get(n, 1.0))
                for n, g in raw.items()
            }
            raw = {n: g + self.dtype.type(self["gradient_decay"]) * self.weights[n] for n, g in raw.items()}
            clipped = self._clipped(raw)
            found: dict[str, Any] = {
                "input": {"x": x.astype("float32"), "target": target.astype("float32")},
                "output": dict(self.outputs),
                "loss": {"loss": np.float32(total.value), "data": np.float32(data.value)},
                "gradient": _rounded(clipped),
                "learning_rate": np.float32(self._rate(step)),
            }
            if penalty is not None and self["l2_in_loss"]:
                found["loss"]["regularization"] = np.float32(penalty.value)
            if self["clip"]:
                found["unclipped_gradient"] = _rounded(raw)
            self._apply(found, clipped, slots, step)
            found["statistic"] = _rounded(self.moving)
            if self["average"] is not None:
                decay = min(self["average"], (1 + step) / (10 + step)) if self["num_updates"] else self["average"]
                averages = {
                    n: self.dtype.type(decay) * averages[n] + self.dtype.type(1 - decay) * self.weights[n]
                    for n in averages
                }
                found["average"] = _rounded(averages)
            steps.append(found)
        about = {"tensorflow": "", "keras": "", "form": "tape", "batch_size": self["batch"], "optimizer": None}
        return {"training_trace": 1, "about": about, "steps": steps, "weights_before": before, "kept": {}}

    def _data(self, step: int) -> tuple[Array, Array]:
        random = np.random.RandomState(50 + step)
        shapes = {"conv": (9, 9, 3), "lstm": (7, 5), "gru": (7, 5), "attention": (6, 8)}
        if self["model"] == "conv" and self["padding"] is not None:
            shapes["conv"] = (8, 8, 3)
        x = random.normal(size=(self["batch"], *shapes.get(self["model"], (8,))))
        if self["model"] == "lstm":
            x[: self["batch"] // 3, -2:] = 0
        target = np.eye(4)[random.randint(0, 4, self["batch"])]
        if self["loss"] in ("mse", "mae"):
            target = random.normal(size=target.shape)
        x = x if self["input"] is None else self["input"](x, step)
        target = target if self["target"] is None else self["target"](target, step)
        return x.astype("float32"), target.astype("float32")

    def _build(self, x: Array) -> None:
        training = self["bn_updates"]
        moving = {}
        self.settings["bn_updates"] = False
        self.forward(x, 0)
        self.settings["bn_updates"] = training
        moving.update(self.moving)
        for name in list(self.weights):  # so that biases show what is done to them
            if name.endswith(("bias", "beta")):
                self.weights[name] = (
                    (self._draw(name).normal(size=self.weights[name].shape) * 0.1).astype("float32").astype(self.dtype)
                )
        for part in ("kernel", "bias"):
            if f"dense_copy/{part}" in self.weights:
                self.weights[f"dense_copy/{part}"] = self.weights[f"dense/{part}"].copy()
        if self["weights"] is not None:
            self.weights = {
                n: np.ascontiguousarray(self["weights"](n, v)).astype(self.dtype) for n, v in self.weights.items()
            }
        self.outputs, self.nodes = {}, {}

    def _penalty(self) -> Node | None:
        if not self["l2"]:
            return None
        found: Node | None = None
        for name in self.weights:
            if name.endswith("kernel") or self["l2_biases"]:
                w = self.nodes[name]
                term = (w * w).sum() * self.dtype.type(self["l2"] * (0.5 if self["l2_half"] else 1))
                found = term if found is None else found + term
        return found

    def _clipped(self, raw: dict[str, Array]) -> dict[str, Array]:
        if not self["clip"]:
            return raw
        kind, limit = self["clip"]
        if kind == "value":
            return {n: np.clip(g, -limit, limit) for n, g in raw.items()}
        norms: dict[str, Any] = {n: np.sqrt((g * g).sum()) for n, g in raw.items()}
        if kind == "global":
            total = np.sqrt(sum(v * v for v in norms.values()))
            norms = dict.fromkeys(norms, total)
        return {n: (g * min(1.0, limit / norms[n])).astype(self.dtype) for n, g in raw.items()}

    def _rate(self, step: int) -> float:
        return float(self["rate"] if self["schedule"] is None else self["schedule"](step))

    def _apply(
        self, found: dict[str, Any], gradients: dict[str, Array], slots: dict[str, dict[str, Array]], step: int
    ) -> None:
        number = self.dtype.type
        names = {
            "adam": ("m", "v"),
            "nadam": ("m", "v"),
            "rmsprop": ("mean_square",),
            "adagrad": ("accumulator",),
            "momentum": ("momentum",),
            "sgd": (),
        }
        found["slot_before"], found["slot"], found["update"] = {}, {}, {}
        for name, g in gradients.items():
            if name not in slots:
                start = self.dtype.type(self["start"])
                slots[name] = {
                    slot: np.full_like(g, 0 if slot in "mv" or slot == "momentum" else start)
                    for slot in names[self["optimizer"]]
                }
            own = number(self["rates"].get(name, 1.0))
            found["slot_before"].update({f"{name}/{k}": v.astype("float32") for k, v in slots[name].items()})
            w = self.weights[name]
            old = w.astype("float32")
            new = (
                w
                if name in self["not_updated"]
                else w + own * self._update(g, slots[name], step) - self.dtype.type(self["weight_decay"]) * w
            )
            self.weights[name] = new.astype("float32").astype(self.dtype)
            slots[name] = {k: v.astype("float32").astype(self.dtype) for k, v in slots[name].items()}
            found["slot"].update({f"{name}/{k}": v.astype("float32") for k, v in slots[name].items()})
            found["update"][name] = self.weights[name].astype("float32") - old
        found["weight"] = _rounded(self.weights)

    def _update(self, g: Array, slot: dict[str, Array], step: int) -> Array:
        number, rate, t = self.dtype.type, self._rate(step), step + 1 + self["count"]
        epsilon, form = self["epsilon"], self["form"]
        if self["optimizer"] in ("adam", "nadam"):
            b1, b2 = number(self["beta_1"]), number(self["beta_2"])
            share = 1 - b1 if self["share"] is None else number(self["share"])
            slot["m"] = b1 * slot["m"] + share * g
            slot["v"] = b2 * slot["v"] + (1 - b2) * g * g
            correction = np.sqrt(1 - self["beta_2"] ** t)
            factor = rate * correction / (1 - self["beta_1"] ** t) if self["bias_correction"] else rate
            e = epsilon * correction if form == "corrected" else epsilon
            bottom = np.sqrt(slot["v"] + number(e)) if form == "inside" else np.sqrt(slot["v"]) + number(e)
            top = b1 * slot["m"] + (1 - b1) * g if self["optimizer"] == "nadam" else slot["m"]
            return number(-factor) * top / bottom
        if self["optimizer"] in ("rmsprop", "adagrad"):
            if self["optimizer"] == "rmsprop":
                rho = number(self["rho"])
                second = slot["mean_square"] = rho * slot["mean_square"] + (1 - rho) * g * g
            else:
                second = slot["accumulator"] = slot["accumulator"] + g * g
            return (
                number(-rate)
                * g
                / (np.sqrt(second + number(epsilon)) if form == "inside" else np.sqrt(second) + number(epsilon))
            )
        if self["optimizer"] == "momentum":
            if not self["momentum"]:
                return number(-rate) * g  # and the slot stays as it is, as in Keras 2.15
            mu = number(self["momentum"])
            if self["keras_momentum"]:
                slot["momentum"] = mu * slot["momentum"] - number(rate) * g
                return mu * slot["momentum"] - number(rate) * g if self["nesterov"] else slot["momentum"]
            slot["momentum"] = mu * slot["momentum"] + g
            return number(-rate) * (g + mu * slot["momentum"] if self["nesterov"] else slot["momentum"])
        return number(-rate) * g


def _scaled(node: Node, factor: Array) -> Node:
    scaled: Node = node * factor
    return scaled


def _rounded(arrays: dict[str, Array]) -> dict[str, Array]:
    return {name: value.astype("float32") for name, value in arrays.items()}


def simulate(**settings: Any) -> dict[str, Any]:
    """The training trace of one simulated training."""
    return Training(settings).trace()
