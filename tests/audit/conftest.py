"""A chat model whose answers a test decides, and what an audit needs beside it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cultureclip.audit.questionnaires.asking import Asker
from cultureclip.audit.questionnaires.prompts import read_audit_prompt
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.models.chat.request import Answer, Request
from cultureclip.prompts import Prompt

ROOT = Path(__file__).parents[2]
Behaviour = Callable[[str], str | Answer]


@dataclass
class ScriptedModel:
    """Answers a question by its last turn."""

    behaviour: Behaviour
    name: str = "scripted"
    fingerprint: str = "scripted"
    window: int = 64
    asked: list[Request] = field(default_factory=list)

    def load(self) -> None:
        """Nothing to read."""

    def stream(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Answer]]]:
        for place, request in enumerate(requests):
            self.asked.append(request)
            said = self.behaviour(request.turns[-1].text)
            yield [(place, said if isinstance(said, Answer) else Answer(text=said, finish="stop"))]


@pytest.fixture(scope="session")
def prompt() -> Prompt:
    content = (ROOT / "conf/base/prompts/teacher_audit.yml").read_text(encoding="utf-8")
    return read_audit_prompt(yaml.safe_load(content))


@pytest.fixture
def make_asker(prompt: Prompt, tmp_path: Path) -> Callable[[Behaviour], Asker]:
    return lambda behaviour: Asker(ScriptedModel(behaviour), prompt, KeyedStore(tmp_path / "answers.sqlite"), 7)


@pytest.fixture
def questions() -> pd.DataFrame:
    """Six questions in the places of a power distance index, and one beside them."""
    rows = [(f"q{n}", "work", f"Question {n}?", [f"{n}a", f"{n}b", f"{n}c", f"{n}d", f"{n}e"], n) for n in range(1, 25)]
    rows.append(("extra", "home", "Is it cold?", ["no", "perhaps", "yes"], None))
    table = pd.DataFrame(rows, columns=["item", "topic", "question", "options", "vsm"])
    return table.astype({"vsm": "Int64"})
