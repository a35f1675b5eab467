"""A run's threads wait asleep, unless the user has said how they wait."""

import os
import subprocess
import sys

import pytest

LOADED = "import sys, cultureclip.settings, os; print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("said", "spins"),
    [
        ({}, "10000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"KMP_BLOCKTIME": "5"}, None),
    ],
)
def test_it_is_said_before_torch_is_loaded_and_never_against_the_user(said, spins):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    done = subprocess.run([sys.executable, "-c", LOADED], env=clean | said, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", str(spins)]
