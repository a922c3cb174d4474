"""A saved model as text: what it is, its layers, its weights, and what else is in it."""

from typing import Any, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from tfkernels.saved_models.formats import FORMATS

_MOST_ROWS = 400


def as_text(saved: Any) -> str:
    return "\n".join(line.rstrip() for line in _lines(saved))


def summary(saved: Any) -> List[Tuple[str, str]]:
    """The facts of one line each, as ``(title, text)``."""
    weights = list(saved.weights.values())
    rows = [
        ("file", saved.path),
        ("format", dict(FORMATS).get(saved.format, saved.format)),
        ("written by", str(saved.written_by)),
        ("how known", "; ".join(saved.written_by.evidence)),
    ]
    if saved.architecture is not None:
        named = saved.architecture.get("class_name")
        rows.append(("model", f"{named} of {len(saved.layers)} layers"))
    rows.append(("weights", f"{len(weights):,} arrays, {sum(one.size for one in weights):,} numbers"))
    if saved.optimizer is not None:
        rows.append(("optimizer", _optimizer(saved)))
    elif saved.step is not None:
        rows.append(("step", f"{saved.step:,}"))
    if saved.moving_averages:
        rows.append(("moving averages", f"of {len(saved.moving_averages):,} weights"))
    if saved.tags:
        rows.append(("tags", "; ".join(", ".join(tags) for tags in saved.tags)))
    rows += [("custom", f"{one.kind} {one.name} ({one.where})") for one in saved.custom_objects]
    rows += [("Lambda", _lambda(one)) for one in saved.lambdas]
    rows += [("note", note) for note in saved.notes]
    return [(title, text) for title, text in rows if text]


def _optimizer(saved: Any) -> str:
    optimizer = saved.optimizer
    assert optimizer is not None
    kinds = sorted({slot for slots in optimizer.slots.values() for slot in slots})
    parts = [optimizer.class_name or "of a class that the file does not name"]
    if kinds:
        parts.append(f"slots {', '.join(kinds)} of {len(optimizer.slots):,} weights")
    if optimizer.step is not None:
        parts.append(f"step {optimizer.step:,}")
    if not kinds and optimizer.others:
        parts.append(f"{len(optimizer.others):,} arrays that belong to no weight for sure")
    return ", ".join(parts)


def _lambda(one: Any) -> str:
    if one.function:
        return f"{one.where}: function {one.function}"
    return f"{one.where}: byte code of Python {one.python}" if one.python else f"{one.where}: byte code"


def layer_rows(layers: Sequence[Any]) -> List[Tuple[str, ...]]:
    return [
        (
            "  " * layer.depth + (layer.name or layer.path),
            layer.class_name,
            ", ".join(layer.inputs),
            ", ".join(name.rpartition("/")[2] for name in layer.weights),
        )
        for layer in layers
    ]


def weight_rows(weights: Mapping[str, Any]) -> List[Tuple[str, ...]]:
    return [
        (name, weight.dtype, str(list(weight.shape)), weight.source if weight.source != name else "")
        for name, weight in weights.items()
    ]


def signature_rows(saved: Any) -> List[Tuple[str, ...]]:
    return [
        (name, _values(signature.inputs), _values(signature.outputs), ", ".join(signature.tags))
        for name, signature in saved.signatures.items()
    ]


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {dtype}{'[…]' if shape is None else _shape(shape)}" for name, (dtype, shape) in values.items()
    )


def _shape(shape: Optional[Sequence[Any]]) -> str:
    if shape is None:
        return "[…]"
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def tables(saved: Any) -> Iterator[Tuple[str, Tuple[str, ...], List[Tuple[str, ...]]]]:
    """Title, columns and rows of each table that is not empty."""
    every = (
        ("layers", ("layer", "class", "called on", "weights"), layer_rows(saved.layers)),
        ("signatures", ("signature", "inputs", "outputs", "tags"), signature_rows(saved)),
        ("weights", ("weight", "dtype", "shape", "name in the file"), weight_rows(saved.weights)),
        ("other variables", ("variable", "dtype", "shape", "name in the file"), weight_rows(saved.others)),
    )
    return (table for table in every if table[2])


def _lines(saved: Any) -> Iterator[str]:
    rows = summary(saved)
    width = max(len(title) for title, _ in rows)
    yield from (f"{title:{width}}  {text}" for title, text in rows)
    for _, columns, cells in tables(saved):
        yield ""
        shown = cells[:_MOST_ROWS]
        yield from _aligned([columns, *shown])
        if len(cells) > len(shown):
            yield f"and {len(cells) - len(shown):,} more"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)) for row in rows]
