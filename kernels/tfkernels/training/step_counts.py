"""The step count of an optimizer in a graph: counted once the step has read it.

Up to TensorFlow 1.13, Keras increments it while Adam, and learning rates that decay, read it. A step then has the
factors of this step or, now and then, those of the next one.
"""

from typing import Any, Iterable, List

from tfkernels.training.graph.operations import changed, closure, reads


def counted_after_reading(iterations: Any, updates: Iterable[Any]) -> None:
    """Makes the increment of ``iterations`` among ``updates``, which no session has run, wait for those that read it.

    Updates that count first, and read then, stay as they are.
    """
    if iterations is None:
        return
    count = iterations.op
    flat = [part for one in updates for part in (one if isinstance(one, tuple) else (one,))]
    operations: List[Any] = [getattr(one, "op", one) for one in flat]
    increments = [one for one in operations if count in changed(one)]
    others = closure(one for one in operations if one not in increments)
    readers = [one for one in others if reads(one, count)]
    for increment in increments:
        for reader in readers:
            if increment not in closure([reader]):
                increment._add_control_input(reader)  # noqa: SLF001 (there is no public way after it was made)
