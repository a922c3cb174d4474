"""One number, and a thousand, to a kernel and from it, beside a bare execute request to it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import tfkernels
from tests.benchmarks.cells import bare, bare_client
from tests.benchmarks.rows import Job, Row, measure

THOUSAND = {f"v{number}": float(number) for number in range(1000)}


def run() -> Iterator[list[Row]]:
    for name in ("tf1", "tf2"):
        kernel = tfkernels.kernel(name)
        kernel.start()
        client = bare_client(kernel)
        kernel.run("", inputs=THOUSAND)
        jobs: dict[str, Job] = {
            "bare execute": partial(bare, client),
            "k['x'] = 1.5": partial(kernel.__setitem__, "x", 1.5),
            "k['x']": partial(kernel.__getitem__, "v1"),
            "1,000 numbers to it": partial(kernel.run, "", inputs=THOUSAND),
            "1,000 numbers from it": partial(kernel.run, "", outputs={each: each for each in THOUSAND}),
        }
        yield measure(f"small values, {name}", jobs, 200)
        client.stop_channels()
