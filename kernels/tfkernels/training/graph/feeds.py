"""What a session is fed in each step of a training."""

from typing import Any, Callable, Dict, List, Mapping, Set

from tfkernels.errors import TraceError


def feed_of_step(feeds: Any) -> Callable[[int], Dict[Any, Any]]:
    """The feed of each step (from 0), in turn. ``feeds`` is one dict for all steps, or has one for each."""
    if feeds is None or isinstance(feeds, Mapping):
        return lambda _: dict(feeds or {})
    try:
        rest = iter(feeds)
    except TypeError:
        raise TraceError(
            f"feeds= is a dict of values by placeholder, or has such a dict for each step; got {type(feeds).__name__}"
        ) from None

    def following(number: int) -> Dict[Any, Any]:
        try:
            feed = next(rest)
        except StopIteration:
            raise TraceError(f"feeds= has nothing for step {number + 1}. Give one for each, or trace fewer") from None
        if feed is not None and not isinstance(feed, Mapping):
            raise TraceError(f"feeds= has a {type(feed).__name__} for step {number + 1}, not a dict by placeholder")
        return dict(feed or {})

    return following


def fed_names(graph: Any, feed: Mapping[Any, Any]) -> Set[str]:
    """The names of the tensors that a feed gives values to."""
    found: Set[str] = set()
    for key in feed:
        parts: List[Any] = [getattr(key, name, None) for name in ("indices", "values", "dense_shape")]
        tensors = parts if all(hasattr(part, "op") for part in parts) else [graph.as_graph_element(key)]
        found.update(tensor.name for tensor in tensors)
    return found
