"""How threads that share a model's work wait for each other."""

import os

SPINS = "10000"
"""Turns for which a waiting thread of GNU's OpenMP looks before it sleeps. Its own default is millions: on a machine
with other work, a thread then burns the time that the one it waits for needs (bench/busy_neighbour.py)."""
_SAID_BY_THE_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_asleep() -> None:
    """Let OpenMP's threads sleep when they wait, unless the environment says otherwise.

    GNU's OpenMP, which torch uses on Linux, reads this once, when it is loaded; so this is called before torch is
    imported, and it holds for processes started later, too. LLVM's, on a Mac, sleeps after 200 ms by itself.
    """
    if not any(name in os.environ for name in _SAID_BY_THE_USER):
        os.environ["GOMP_SPINCOUNT"] = SPINS
