"""Which weight is which, when two programs name them differently. Names and shapes only; nothing of TensorFlow."""

import difflib
import re
from collections import Counter, defaultdict
from typing import Collection, Dict, Hashable, Iterable, List, Mapping, NamedTuple, Set, Tuple

from tfkernels.errors import WeightsError

Shape = Tuple[int, ...]
Shapes = Mapping[str, Shape]

SYNONYMS = {
    "kernel": ("weights", "weight", "w", "depthwise_kernel", "depthwise_weights"),
    "pointwise_kernel": ("pointwise_weights",),
    "bias": ("biases", "b"),
    "embeddings": ("embedding", "embedding_matrix"),
}
"""What hand-written graphs call the weights of Keras's layers (the last part of a name, in any case)."""

KINDS = {*SYNONYMS, "recurrent_kernel", "gamma", "beta", "moving_mean", "moving_variance"}
"""Weights that belong to one layer if they are in one scope. Of other names a scope can hold a whole graph."""

ONLY_ONE = "only one of its shape"

_SAME = {other: name for name, others in SYNONYMS.items() for other in others}
_CELL = re.compile(r"(lstm|gru|simple_rnn)_cell(_\d+)?")  # between a recurrent layer and its weights since 2.0
_CUDNN = re.compile(r"^cu_?dnn_?(?=(lstm|gru)(_\d+)?$)")  # the same layer for a GPU
_NUMBER = re.compile(r"(?:_(\d+))?$")

Key = Tuple[str, ...]


class Match(NamedTuple):
    """A target with its source, how they were found to belong together (:func:`match`), and the target's shape."""

    target: str
    source: str
    how: str
    shape: Shape


def match(targets: Shapes, sources: Shapes, mapping: Mapping[str, str]) -> List[Match]:
    """Every target with its source, as far as there is one. A target and a source are used once; nothing is guessed.

    The ways are tried in the order of ``weights.load_weights``, each on what is left; only the last looks at shapes.
    See docs/design/models.md.
    """
    for name in (*targets, *sources, *mapping, *mapping.values()):
        if not isinstance(name, str):
            raise WeightsError(
                f"names of weights are text, such as 'dense/kernel'; {name!r} is a {type(name).__name__}. "
                "tfkernels.weights(model) gives the weights of a model by name"
            )
    mapped = [(_find(one, targets, "target"), _find(two, sources, "source")) for one, two in mapping.items()]
    if len(dict(mapped)) < len(mapped):
        raise WeightsError("the mapping names a target twice, with and without :0. Keep one of the two")
    found = [Match(target, source, "mapping", targets[target]) for target, source in mapped]
    left_targets = keys(name for name in targets if name not in {pair.target for pair in found})
    left_sources = keys(name for name in sources if name not in {pair.source for pair in found})
    doubtful = {
        family
        for family, target_layers, source_layers in _families(left_targets, left_sources)
        if _contradict(target_layers, source_layers)
    }

    def take(how: str, target_keys: Mapping[str, Hashable], source_keys: Mapping[str, Hashable]) -> None:
        """Targets and sources with the same key, which no other target and no other source has."""
        source_of = _unambiguous(source_keys)
        for key, target in _unambiguous(target_keys).items():
            if key in source_of and (how == ONLY_ONE or _unnumbered(left_targets[target][:-1]) not in doubtful):
                found.append(Match(target, source_of[key], how, targets[target]))
                del left_targets[target], left_sources[source_of[key]]

    take("same name", *({name: _plain(name) for name in left} for left in (left_targets, left_sources)))
    take("other spelling", left_targets, left_sources)
    take("other scope", _in_scopes(left_targets, left_sources), left_sources)
    take("same place", _in_order(left_targets, left_sources), left_sources)
    kinds = ({name: (key[-1], shapes[name]) for name, key in left.items()}
             for left, shapes in ((left_targets, targets), (left_sources, sources)))  # fmt: skip
    take(ONLY_ONE, *kinds)
    return found


def _unambiguous(keys: Mapping[str, Hashable]) -> Dict[Hashable, str]:
    counts = Counter(keys.values())
    return {key: name for name, key in keys.items() if counts[key] == 1}


def _find(name: str, names: Iterable[str], side: str) -> str:
    plain = {_plain(known): known for known in names}
    if _plain(name) in plain:
        return plain[_plain(name)]
    near = difflib.get_close_matches(name, plain, 3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise WeightsError(f"the mapping names the {side} {name!r}, which is not there.{hint} A mapping is target: source")


def _plain(name: str) -> str:
    return name.split(":")[0] if re.search(r":\d+$", name) else name


def keys(names: Iterable[str]) -> Dict[str, Key]:
    """The parts of names, in the spelling of Keras."""
    found = {}
    for name in names:
        *path, last = _plain(name).split("/")
        layers = (_CUDNN.sub("", part) for part in path if not _CELL.fullmatch(part))
        found[name] = (*layers, _SAME.get(last.lower(), last.lower()))
    return found


def _in_scopes(targets: Mapping[str, Key], sources: Mapping[str, Key]) -> Dict[str, Key]:
    """The keys that targets have among the sources, if one has scopes in front of the other."""
    partner = dict(_nested({*targets.values()}, {*sources.values()}, least=2))  # a weight's own name says too little
    return {name: partner[key] for name, key in targets.items() if key in partner}


def _nested(targets: Collection[Key], sources: Collection[Key], least: int) -> List[Tuple[Key, Key]]:
    """Keys of which one is the end of the other, with at least so many parts, if neither has a second such partner."""

    def ends(key: Key) -> List[Key]:
        return [key[start:] for start in range(len(key) - least + 1)]

    whole_of: Dict[Key, List[Key]] = defaultdict(list)
    for source in sources:
        for end in ends(source):
            whole_of[end].append(source)
    sources_of = {
        target: [*whole_of.get(target, ()), *(end for end in ends(target)[1:] if end in sources)] for target in targets
    }
    wanted = Counter(source for found in sources_of.values() for source in found)
    return [(target, found[0]) for target, found in sources_of.items() if len(found) == 1 and wanted[found[0]] == 1]


def _families(targets: Mapping[str, Key], sources: Mapping[str, Key]) -> List[Tuple[Key, List[Key], List[Key]]]:
    """Layers that differ in their numbers only, in the order of these: families that both sides have, equally large."""
    of_targets, of_sources = _by_family(targets), _by_family(sources)
    return [
        (target, of_targets[target], of_sources[source])
        for target, source in _nested(of_targets, of_sources, least=1)
        if len(of_targets[target]) == len(of_sources[source])
    ]


def _by_family(keys: Mapping[str, Key]) -> Dict[Key, List[Key]]:
    families: Dict[Key, Set[Key]] = defaultdict(set)
    for key in keys.values():
        families[_unnumbered(key[:-1])].add(key[:-1])
    return {family: sorted(layers, key=_numbers) for family, layers in families.items()}


def _contradict(targets: List[Key], sources: List[Key]) -> bool:
    """Whether some, but not all, layers of a family have the same numbers on both sides.

    If ``dense_1`` and ``dense_2`` are to become ``dense`` and ``dense_1``, equal names and equal places contradict
    each other; then neither counts.
    """
    length = min(len(targets[0]), len(sources[0]))
    same = {layer[-length:] for layer in targets} & {layer[-length:] for layer in sources}
    return 0 < len(same) < len(targets)


def _in_order(targets: Mapping[str, Key], sources: Mapping[str, Key]) -> Dict[str, Key]:
    """The keys that targets have among the sources, by their places in layers that differ in their numbers only."""
    partner = {one: two for _, *layers in _families(targets, sources) for one, two in zip(*layers)}
    return {name: (*partner[key[:-1]], key[-1]) for name, key in targets.items() if key[:-1] in partner}


def _unnumbered(layer: Key) -> Key:
    return tuple(_NUMBER.sub("", part) for part in layer)


def _numbers(layer: Key) -> Tuple[int, ...]:
    found = (_NUMBER.search(part) for part in layer)
    return tuple(int(match[1] or 0) if match else 0 for match in found)
