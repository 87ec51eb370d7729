"""Settings of the whole test suite."""

from hypothesis import HealthCheck, settings

# A busy machine is no failure: no deadlines, slow generation is not a health problem; the same
# examples every time, so that a red run can be run again.
settings.register_profile(
    "cadnode",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("cadnode")
