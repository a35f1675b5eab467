"""Two voices, one of each culture, describe the two sides of a twin and correct each other.

After CulturePark (arXiv 2405.15145), where two agents of different cultures talk and the talk becomes data. Here each
voice knows the facts of its own side, and captions of that side can be asked for with what it said (the field
``{said}``). What is said is no fact: captions are checked against the table of concepts all the same.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pydantic import Field

from cultureclip.captions.facts import ConceptFacts, describe_facts
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.asking import Usage, answer_all
from cultureclip.models.chat.request import Answer, ChatModel, Request, Sampling
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain, read_prompt
from cultureclip.settings_base import Settings
from cultureclip.tables import VERDICTS, make_table

DIALOGUES = pa.DataFrameSchema(
    {
        "twin_id": pa.Column(str),
        "turn": pa.Column(int, pa.Check.ge(1)),
        "concept_id": pa.Column(str),  # the speaker's side
        "text": pa.Column(str, nullable=True),
        "model": pa.Column(str),
        "revision": pa.Column(str, nullable=True),
        "prompt_id": pa.Column(str),
        "seed": pa.Column(int),
        "verdict": pa.Column(str, pa.Check.isin(VERDICTS)),
        "reason": pa.Column(str, nullable=True),
    },
    strict=True,
    unique=["twin_id", "turn"],
)
"""One row per line of a dialogue; a line that failed ends it."""

OPEN, REPLY = "open", "reply"
"""Templates: the first line of a dialogue, and every other."""
_FIELDS = frozenset({"facts", "name", "culture", "other_name", "other_culture"})


class VoiceSettings(Settings):
    """How a dialogue is held.

    Attributes:
        lines: Lines of a dialogue; the voices speak in turn.
        max_new_tokens: Most tokens of a line.
    """

    lines: int = Field(ge=2, le=12)
    max_new_tokens: int = Field(ge=8, le=512)


def read_voices_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/voices.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "voices", {OPEN: _FIELDS, REPLY: _FIELDS | {"dialogue"}})


class Dialogues:
    """Holds the dialogues of twins and keeps every line.

    Args:
        store: Where answers are kept.
        model: Who speaks for both.
        prompt: From :func:`read_voices_prompt`.
        settings: Lines of a dialogue.
        seed: Seed of the stage.
        usage: Counts to add to.
        engine: Where the model is asked, and shared with whom.
    """

    def __init__(
        self,
        store: KeyedStore,
        model: ChatModel,
        prompt: Prompt,
        settings: VoiceSettings,
        seed: int,
        usage: Usage,
        engine: EngineSettings = HERE,
    ) -> None:
        self._store, self._model, self._prompt, self._engine = store, model, prompt, engine
        self._settings, self._seed, self._usage = settings, seed, usage

    def hold(self, twins: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
        """Let the two sides of every accepted twin talk, all twins at once, line by line.

        A line that is cut off or empty is kept as ``failed`` and ends its dialogue.

        Args:
            twins: Table TWINS.
            concepts: Table CONCEPTS.

        Returns:
            Table DIALOGUES.

        Raises:
            SourceDataError: a twin names a concept that is not in ``concepts``.
        """
        known = {str(row["concept_id"]): ConceptFacts.from_row(dict(row)) for _, row in concepts.iterrows()}
        accepted = twins[twins["verdict"] == "accepted"].sort_values("twin_id")
        rows = accepted[["twin_id", "a_concept_id", "b_concept_id"]].astype(str).itertuples(index=False)
        sides: dict[str, tuple[str, str]] = {twin: (a, b) for twin, a, b in rows}
        for concept in (concept for pair in sides.values() for concept in pair):
            if concept not in known:
                cause = "a twin names this concept, the concept table has none"
                raise SourceDataError(concept, cause, "Run mining again")
        lines: dict[str, list[dict[str, Any]]] = {twin: [] for twin in sides}
        for turn in range(1, self._settings.lines + 1):
            going = [twin for twin, said in lines.items() if all(line["reason"] is None for line in said)]
            speakers = {twin: _in_turn(sides[twin], turn, known) for twin in going}
            requests = [self._request(twin, turn, speakers[twin], lines[twin], known) for twin in going]
            for place, answer in answer_all(self._model, requests, self._store, self._usage, self._engine, "dialogues"):
                twin = going[place]
                lines[twin].append(self._line(twin, turn, speakers[twin][0], requests[place], answer))
        return make_table([line for said in lines.values() for line in said], DIALOGUES)

    def _request(
        self,
        twin: str,
        turn: int,
        speaker: tuple[ConceptFacts, ConceptFacts],
        said: list[dict[str, Any]],
        known: Mapping[str, ConceptFacts],
    ) -> Request:
        own, other = speaker
        fields = {
            "facts": describe_facts(own, FIELD_LIMIT),
            "name": plain(own.name),
            "culture": own.cultures[0],
            "other_name": plain(other.name),
            "other_culture": other.cultures[0],
            "dialogue": "\n".join(f"{known[line['concept_id']].cultures[0]}: {line['text']}" for line in said),
        }
        return Request(
            turns=self._prompt.ask(REPLY if said else OPEN, fields),
            sampling=Sampling(max_tokens=self._settings.max_new_tokens, stop="\n"),
            seed=seed_from_id(digest("dialogue seed", self._seed, twin, turn)),
        )

    def _line(self, twin: str, turn: int, own: ConceptFacts, request: Request, answer: Answer) -> dict[str, Any]:
        text = plain(answer.text) if answer.finish == "stop" else ""
        cut = {"length": "cut_off", "refused": "refused"}
        return {
            "twin_id": twin,
            "turn": turn,
            "concept_id": own.concept_id,
            "text": text or None,
            "model": self._model.name,
            "revision": self._model.fingerprint,
            "prompt_id": self._prompt.id,
            "seed": request.seed,
            "verdict": "accepted" if text else "failed",
            "reason": None if text else cut.get(answer.finish, "empty"),
        }


def said_of(lines: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return what the voice of each concept's own culture said, in all dialogues, by concept id.

    Args:
        lines: Table DIALOGUES, or the claims that were taken from it: table CLAIMS.
    """
    spoken = lines[lines["verdict"] == "accepted"].sort_values(["twin_id", "turn"], kind="stable")
    return {str(concept): tuple(map(str, texts)) for concept, texts in spoken.groupby("concept_id")["text"]}


def _in_turn(sides: tuple[str, str], turn: int, known: Mapping[str, ConceptFacts]) -> tuple[ConceptFacts, ConceptFacts]:
    a, b = (known[side] for side in sides)
    return (a, b) if turn % 2 else (b, a)
