from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

# Two workers with two teams of BLAS threads on two processors wait for one another.
threadpool_limits(1, user_api="blas")

# Compilation trips any deadline; the examples drawn are the same in every run.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")
