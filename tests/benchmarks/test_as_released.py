"""Defect 10 of the released evaluation: wrong options drawn from a set change with Python's hash seed."""

import json
import os
import subprocess
import sys

import pytest

from cultureclip.benchmarks.protocols.globalrg_grounding import ask_grounding
from cultureclip.benchmarks.protocols.items import Shown, ask_both

SCRIPT = """
import json, sys
from cultureclip.benchmarks.protocols.items import draw_distractors
names = [f"thing {i}" for i in range(12)]
print(json.dumps([draw_distractors(names, {"thing 3"}, f"accuracy:{i:020x}", sys.argv[1]) for i in range(20)]))
"""


def draw(variant: str, hash_seed: int) -> list[list[str]]:
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, variant], capture_output=True, text=True, check=True, env=environment
    )
    return json.loads(done.stdout)


def test_as_released_the_draw_depends_on_the_hash_seed_and_as_published_it_does_not():
    assert draw("as_published", 1) == draw("as_published", 2)
    first, second = draw("as_released", 1), draw("as_released", 2)
    assert first == draw("as_released", 1)
    assert sum(a != b for a, b in zip(first, second, strict=True)) > 10
    for drawn in (*first, *second):
        assert len(set(drawn)) == 3
        assert "thing 3" not in drawn


@pytest.mark.parametrize("first", ["as_published", "as_released"])
def test_both_variants_ask_the_same_items_under_the_same_names(first):
    items = [
        Shown(concept_id=f"{i:020x}", name=f"thing {i}", universal="u", regions=("R",), image=f"{i:064x}")
        for i in range(9)
    ]
    asked = ask_both(ask_grounding, items, first=first)
    plain = ask_both(ask_grounding, items)
    assert [question.item_id for question in asked.questions] == [question.item_id for question in plain.questions]
    fair = [question for question in asked.questions if question.item_id.startswith("accuracy_all:")]
    assert fair == [question for question in plain.questions if question.item_id.startswith("accuracy_all:")]
