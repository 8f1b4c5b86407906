"""Reserved for norms of PyTorch models and sweeps over them; no code yet.

The package will need the optional dependency ``torch`` (``pip install
"replica-learning[deep]"``), and is the only one here that will.
"""
