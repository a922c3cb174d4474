"""A comparison is shown in TensorFlow 1's and TensorFlow 2's kernels."""

from __future__ import annotations

from typing import Any

from tests.support.comparisons import assert_harmless
from tfkernels.client.kernel import Kernel

EVERYWHERE = r"""
import sys, warnings
import numpy as np
from tfkernels.comparison import compare

theirs = sys.modules.pop("matplotlib.pyplot", None)  # Keras 3 imports it where it finds it
image = np.arange(400, dtype="float32").reshape(20, 20)
holes = image.copy(); holes[3, 4] = np.nan; holes[5, 6] = np.inf
CASES = {
    "differences": (image, image + np.float32(0.5)),
    "none": (image, image),
    "holes": (image, holes),
    "nan only": (np.full((8, 8), np.nan), np.zeros((8, 8))),
    "integers": (np.arange(9), np.arange(9) // 2),
    "bools": (np.array([True, False]), np.array([True, True])),
    "complex": (image * 1j, image * (1j + 1e-3)),
    "half": (image.astype("float16"), (image + 1).astype("float16")),
    "empty": (np.zeros((0, 3)), np.zeros((0, 3))),
    "shapes": (np.zeros(3), np.zeros(4)),
    "text": ("one", "two"),
    "texts": (np.array(["a", "b"]), np.array(["a", "c"])),
    "tiny and huge": (np.array([5e-324, 1.7e308, 1]), np.array([0, -1.7e308, 1])),
    "layers": ({"$\\frac{": image, "<b>": image, "c": 1.0, "d": "x"}, {"$\\frac{": image, "<b>": image + 1, "d": "y"}),
}
shown = {}
with warnings.catch_warnings():
    warnings.simplefilter("error")
    for name, (one, two) in CASES.items():
        found = compare(one, two, names=("$a", "b$"))
        figure = found.plot()
        assert not any(each.get_facecolor()[3] for each in [figure, *figure.axes])
        shown[name] = [repr(found), found._repr_html_(), len(figure.axes), figure._repr_png_()[:8]]
    several = compare({"a": [image, image, 1], "b": [image, image, 2], "c": [image, image + 1, 1]})
    picture = several.plot(side="c")._repr_png_()[:8]
    shown["several"] = [repr(several), several._repr_html_(), len(several.plot().axes), picture]
    parts = compare(*CASES["layers"]).plot("['<b>']").axes
    try:
        compare(1, 2).plot("z")
    except KeyError as error:
        unknown = str(error)
pyplot = "matplotlib.pyplot" in sys.modules
if theirs is not None:
    sys.modules["matplotlib.pyplot"] = theirs
"""


def test_everything_is_shown_in_both_kernels(remote: Kernel) -> None:
    remote.run(EVERYWHERE)
    shown: dict[str, Any] = remote["shown"]
    for text, page, _, picture in shown.values():
        assert all(len(line) <= 120 for line in text.split("\n"))
        assert_harmless(page)
        assert picture == b"\x89PNG\r\n\x1a\n"
    axes = {name: count for name, (_, _, count, _) in shown.items()}
    assert axes["differences"] == 5  # errors, values, ULPs, heat map and its scale
    assert axes["integers"] == 2
    assert axes["text"] == axes["shapes"] == 1  # said in words
    assert axes["layers"] == 1 + axes["differences"]  # how they grow, and the first difference
    assert remote["len(parts)"] == axes["differences"]
    assert remote["unknown"] == "\"there is no part 'z' to plot; there are: value\""
    assert remote["pyplot"] is False
