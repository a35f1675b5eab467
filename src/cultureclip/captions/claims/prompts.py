"""The prompt file of claims, and who answers its questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.asking import Outcome, Usage, ask
from cultureclip.models.chat.request import ChatModel, Request, Sampling, Structured
from cultureclip.prompts import Prompt, read_prompt

QUALITY, ALIGNMENT, META = "quality", "alignment", "meta"
EXTRACT, VERIFY, REWRITE = "extract", "verify", "rewrite"
_DIALOGUE = frozenset({"dialogue", "name", "culture", "other_name", "other_culture"})
_FIELDS: Mapping[str, frozenset[str]] = {
    QUALITY: _DIALOGUE,
    ALIGNMENT: _DIALOGUE,
    META: _DIALOGUE | {"quality", "alignment"},
    EXTRACT: frozenset({"said", "name", "culture"}),
    VERIFY: frozenset({"claim", "facts"}),
    REWRITE: frozenset({"claim", "facts"}),
}


def read_claims_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/claims.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "claims", _FIELDS)


@dataclass(frozen=True)
class Judge:
    """A chat model that works on dialogues, and everything that is needed to ask it.

    Attributes:
        model: The model.
        prompt: From :func:`read_claims_prompt`.
        store: Where answers are kept.
        seed: Seed of the stage.
        tries: Most times that a question is asked.
        usage: Counts to add to.
    """

    model: ChatModel
    prompt: Prompt
    store: KeyedStore
    seed: int
    tries: int
    usage: Usage

    def ask(
        self,
        template: str,
        fields: Sequence[Mapping[str, str]],
        max_tokens: int,
        schema: type[Structured] | None = None,
        accept: Sequence[str] | None = None,
    ) -> list[Outcome]:
        """Ask a question with each set of fields, greedily; an answer of the wrong form is asked for again.

        Args:
            template: The question.
            fields: Its fields, once per question.
            max_tokens: Most tokens of an answer.
            schema: Type of a structured answer; None: one line of text.
            accept: The lines that count; None: all do.
        """
        sampling = Sampling(max_tokens=max_tokens, stop=None if schema else "\n")
        seed = seed_from_id(digest("claims", template, self.seed))
        requests = [
            Request(turns=self.prompt.ask(template, one), sampling=sampling, seed=seed, schema=schema) for one in fields
        ]
        return ask(self.model, requests, self.store, self.tries, self.usage, accept)
