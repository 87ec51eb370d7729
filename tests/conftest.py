"""Settings of the whole test suite."""

from hypothesis import HealthCheck, settings

# A busy machine is no failure: no deadlines, and slow generation is not a health problem.
settings.register_profile(
    "cadnode", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("cadnode")
