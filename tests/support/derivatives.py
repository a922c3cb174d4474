"""Derivatives in NumPy: operations on nodes that know how a gradient goes back through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfkernels.diagnosis.formulas.activations import FUNCTIONS

Array = Any


class Node:
    """A value and how its gradient goes back to what it was made of."""

    def __init__(self, value: Array, parents: Sequence[tuple[Node, Callable[[Array], Array]]] = ()) -> None:
        self.value, self.parents = value, parents
        self.gradient: Array = None

    def __add__(self, other: Node | float) -> Node:
        if not isinstance(other, Node):
            return Node(self.value + other, [(self, lambda g: g)])
        return Node(
            self.value + other.value,
            [(self, lambda g: _unbroadcast(g, self.value)), (other, lambda g: _unbroadcast(g, other.value))],
        )

    def __mul__(self, other: Node | float | Array) -> Node:
        if not isinstance(other, Node):
            return Node(self.value * other, [(self, lambda g: _unbroadcast(g * other, self.value))])
        return Node(
            self.value * other.value,
            [
                (self, lambda g: _unbroadcast(g * other.value, self.value)),
                (other, lambda g: _unbroadcast(g * self.value, other.value)),
            ],
        )

    def __sub__(self, other: Node) -> Node:
        difference: Node = self + other * self.value.dtype.type(-1)
        return difference

    def __matmul__(self, other: Node) -> Node:
        def left(g: Array) -> Array:
            return g @ np.swapaxes(other.value, -1, -2)

        def right(g: Array) -> Array:
            x = self.value
            if other.value.ndim == 2 and x.ndim > 2:
                return x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1])
            return np.swapaxes(x, -1, -2) @ g

        return Node(self.value @ other.value, [(self, left), (other, right)])

    def map(self, function: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> Node:
        y = function(self.value)
        return Node(y, [(self, lambda g: g * slope(self.value, y))])

    def sum(self) -> Node:
        return Node(self.value.sum(), [(self, lambda g: np.broadcast_to(g, self.value.shape).astype(self.value.dtype))])

    def mean(self, axes: tuple[int, ...]) -> Node:
        count = self.value.dtype.type(np.prod([self.value.shape[axis] for axis in axes]))
        return Node(
            self.value.mean(axis=axes, keepdims=True), [(self, lambda g: np.broadcast_to(g / count, self.value.shape))]
        )

    def reshape(self, *shape: int) -> Node:
        return Node(self.value.reshape(shape), [(self, lambda g: g.reshape(self.value.shape))])

    def transpose(self, *axes: int) -> Node:
        return Node(self.value.transpose(axes), [(self, lambda g: g.transpose(np.argsort(axes)))])

    def part(self, index: Any) -> Node:
        def back(g: Array) -> Array:
            whole = np.zeros_like(self.value)
            np.add.at(whole, index, g)
            return whole

        return Node(self.value[index], [(self, back)])

    def backward(self) -> None:
        order: list[Node] = []
        seen: set[int] = set()

        def visit(node: Node) -> None:
            if id(node) not in seen:
                seen.add(id(node))
                for parent, _ in node.parents:
                    visit(parent)
                order.append(node)

        visit(self)
        for node in order:
            node.gradient = np.zeros_like(node.value)
        self.gradient = np.ones_like(self.value)
        for node in reversed(order):
            for parent, back in node.parents:
                parent.gradient = parent.gradient + back(node.gradient)


def _unbroadcast(g: Array, value: Array) -> Array:
    g = np.asarray(g)
    while g.ndim > value.ndim:
        g = g.sum(axis=0)
    for axis, size in enumerate(value.shape):
        if size == 1 and g.shape[axis] > 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


def relu(x: Node) -> Node:
    return x.map(lambda v: np.maximum(v, 0), lambda v, _: (v > 0).astype(v.dtype))


def tanh(x: Node) -> Node:
    return x.map(np.tanh, lambda _, y: 1 - y * y)


def sigmoid(x: Node) -> Node:
    half = x.value.dtype.type(0.5)
    return x.map(lambda v: half * (1 + np.tanh(half * v)), lambda _, y: y * (1 - y))


def hard_sigmoid(x: Node) -> Node:
    return x.map(
        lambda v: np.clip(v.dtype.type(0.2) * v + v.dtype.type(0.5), 0, 1),
        lambda v, y: ((y > 0) & (y < 1)) * v.dtype.type(0.2),
    )


def leaky(slope: float) -> Callable[[Node], Node]:
    return lambda x: x.map(
        lambda v: np.where(v > 0, v, v * v.dtype.type(slope)),
        lambda v, _: np.where(v > 0, v.dtype.type(1), v.dtype.type(slope)),
    )


def gelu(x: Node) -> Node:
    c = np.sqrt(2 / np.pi)

    def inner(v: Array) -> Array:
        return np.tanh(v.dtype.type(c) * (v + v.dtype.type(0.044715) * v**3))

    return x.map(
        lambda v: v.dtype.type(0.5) * v * (1 + inner(v)),
        lambda v, _: (
            0.5 * (1 + inner(v))
            + 0.5 * v * (1 - inner(v) ** 2) * v.dtype.type(c) * (1 + v.dtype.type(3 * 0.044715) * v**2)
        ),
    )


def exact_gelu(x: Node) -> Node:
    function = FUNCTIONS["exact gelu"]
    return x.map(
        lambda v: function(v.astype("float64")).astype(v.dtype),
        lambda v, _: ((function(v.astype("float64") + 1e-5) - function(v.astype("float64") - 1e-5)) / 2e-5).astype(
            v.dtype
        ),
    )


ACTIVATIONS: dict[str, Callable[[Node], Node]] = {
    "relu": relu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "linear": lambda x: x,
    "leaky 0.2": leaky(0.2),
    "leaky 0.3": leaky(0.3),
    "gelu": gelu,
    "exact gelu": exact_gelu,
}


def log(x: Node) -> Node:
    return x.map(np.log, lambda v, _: 1 / v)


def root(x: Node) -> Node:
    return x.map(np.sqrt, lambda _, y: y.dtype.type(0.5) / y)


def inverse(x: Node) -> Node:
    return x.map(lambda v: 1 / v, lambda _, y: -y * y)


def log_softmax(x: Node) -> Node:
    shifted = x.value - x.value.max(axis=-1, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return Node(y, [(x, lambda g: g - np.exp(y) * g.sum(axis=-1, keepdims=True))])


def softmax(x: Node) -> Node:
    shifted = np.exp(x.value - x.value.max(axis=-1, keepdims=True))
    y = shifted / shifted.sum(axis=-1, keepdims=True)
    return Node(y, [(x, lambda g: y * (g - (g * y).sum(axis=-1, keepdims=True)))])


def convolution(x: Node, kernel: Node, stride: int, padding: str) -> Node:
    size, n = kernel.value.shape[0], x.value.shape[1]
    total = max((-(-n // stride) - 1) * stride + size - n, 0)
    before = total // 2
    if padding == "symmetric":
        before = (size - 1) // 2
        total = 2 * before
    pads = ((0, 0), (before, total - before), (before, total - before), (0, 0))
    padded = np.pad(x.value, pads)
    rows = (padded.shape[1] - size) // stride + 1
    y = np.zeros((len(padded), rows, rows, kernel.value.shape[3]), x.value.dtype)
    places = [
        (i, j, (slice(None), slice(i, i + rows * stride, stride), slice(j, j + rows * stride, stride)))
        for i in range(size)
        for j in range(size)
    ]
    for i, j, where in places:
        y += padded[where][:, :rows, :rows] @ kernel.value[i, j]

    def to_x(g: Array) -> Array:
        whole = np.zeros_like(padded)
        for i, j, where in places:
            whole[where][:, :rows, :rows] += g @ kernel.value[i, j].T
        return whole[:, before : before + n, before : before + n]

    def to_kernel(g: Array) -> Array:
        found = np.zeros_like(kernel.value)
        for i, j, where in places:
            part = padded[where][:, :rows, :rows]
            found[i, j] = part.reshape(-1, part.shape[-1]).T @ g.reshape(-1, g.shape[-1])
        return found

    return Node(y, [(x, to_x), (kernel, to_kernel)])
