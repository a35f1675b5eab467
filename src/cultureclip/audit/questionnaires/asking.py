"""Who is audited, and how its answers are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cultureclip.audit.questionnaires.prompts import read_audit_prompt
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.models.chat.asking import Usage, answer_all
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import Answer, ChatModel, Request
from cultureclip.models.chat.settings import ChatSettings
from cultureclip.prompts import Prompt


@dataclass(frozen=True)
class Asker:
    """A chat model, and everything that is needed to ask it.

    Attributes:
        model: The model; loaded only when something has to be asked.
        prompt: The prompt file.
        store: Store of the answers, by question: a second run asks nothing again.
        seed: Seed of the audit.
        engine: Where the model is asked, and shared with whom.
        usage: Counts to add to.
    """

    model: ChatModel
    prompt: Prompt
    store: KeyedStore
    seed: int
    engine: EngineSettings = HERE
    usage: Usage = field(default_factory=Usage)

    def answer(self, requests: Sequence[Request], name: str) -> list[Answer]:
        """Ask every question once, and return the answers as they came, in the order of the questions.

        Nothing is asked again for its form: an answer that is none is a finding.

        Args:
            requests: The questions.
            name: Name of the job.
        """
        found = dict(answer_all(self.model, requests, self.store, self.usage, self.engine, name))
        return [found[place] for place in range(len(requests))]


def open_asker(
    settings: ChatSettings, prompt: Mapping[str, Any], store: KeyedStore, seed: int, engine: EngineSettings
) -> Asker:
    """Open a chat model with the audit's prompt; nothing is loaded before something has to be asked."""
    return Asker(open_chat_model(settings), read_audit_prompt(prompt), store, seed, engine)
