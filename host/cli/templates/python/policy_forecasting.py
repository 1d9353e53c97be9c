"""What a worker's CPUs will do: what they did, the newer the more it counts."""

NAME = "{{name}}"
VERSION = "0.1.0"
# Filled in by `configure`.
PROPERTIES = {"description": "a mean in which newer samples count more"}

# What the host is to tell about each worker: its last ten minutes. And what is forecast of it.
NEEDS = ["cpu-used@-9m..0s/1m"]
PROVIDES = ["predicted:cpu-used"]

# What a sample weighs against all that came before it, from 0 to 1.
NEWER = 0.4  # <-- change this line


def configure(horizon_ms=300_000):
    """The slot's `config` table, one argument per key."""
    if type(horizon_ms) is not int or not 1_000 <= horizon_ms <= 86_400_000:
        raise ValueError(f"horizon_ms: {horizon_ms} is not 1000 to 86400000")
    PROPERTIES["horizon-ms"] = str(horizon_ms)


def forecast(samples):
    """One value per column of PROVIDES, `horizon_ms` after the newest sample. The samples of all
    columns of NEEDS follow one another, the oldest of each first; NaN is what was not measured."""
    mean = None
    for sample in samples:
        # NaN is the only number that differs from itself.
        if sample == sample:
            mean = sample if mean is None else (1.0 - NEWER) * mean + NEWER * sample
    return [0.0 if mean is None else mean]
