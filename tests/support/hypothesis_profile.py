"""Settings for all tests of properties: no slow machine fails them, and every run has the same examples.

Examples drawn anew would let a change fail that has nothing to do with what they find.
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = "EXAMPLES_OF_TESTS"
"""The variable with the number of examples for each test; the default is Hypothesis' own."""

settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    max_examples=int(os.environ.get(EXAMPLES, "100")),
)
settings.load_profile("tests")
