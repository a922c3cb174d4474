"""Settings for all tests of properties: no slow machine fails them, and every run has the same examples.

Examples drawn anew would let a change fail that has nothing to do with what they find.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("tests")
