from hypothesis import HealthCheck, settings

# Compilation trips any deadline; the examples drawn are the same in every run.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")
