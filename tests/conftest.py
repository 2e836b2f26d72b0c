"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# How long a property takes says how busy the machine is, and nothing of the property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
