"""Real chaos: true kernel processes, a true node, and everything that may break between them breaks.

`workload` decides from a seed what is wanted, `stage` is everything that runs (node, proxies, database,
kernels), `driver` submits and writes down what it was answered, `nemesis` breaks things, `evidence` reads the
chain, `checker` judges. The checker shares no code with Seawall and knows only the driver's history and the
chain. `python -m tests.chaos --help` runs it; `run` is the order of a run.
"""
