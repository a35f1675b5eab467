"""Requests and answers of chat models, the same for every backend."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal, Protocol, runtime_checkable

from PIL import Image
from pydantic import BaseModel, ConfigDict

from cultureclip.ids import digest
from cultureclip.settings_base import Device

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "refused"]
"""Why an answer ended: the model ended it, its limit of tokens cut it off, or the model declined to answer."""


class Structured(BaseModel):
    """Base of the values that a structured answer must parse to: no other keys, no conversion of types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Picture:
    """An image part of a turn, as the bytes of a file.

    Attributes:
        data: A PNG, JPEG or WebP file.
        media_type: Such as ``image/png``.
    """

    data: bytes = field(repr=False)
    media_type: str = "image/png"

    @classmethod
    def of(cls, image: Image.Image) -> "Picture":
        """Encode pixels as PNG, without loss."""
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return cls(buffer.getvalue())

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:{self.media_type};base64,{b64encode(self.data).decode('ascii')}"

    @property
    def sha256(self) -> str:
        """Digest of the file's bytes, 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Turn:
    """One message of a chat: text and pictures in reading order."""

    role: Role
    parts: tuple[str | Picture, ...]

    @property
    def text(self) -> str:
        """The text parts, joined by line feeds."""
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The image parts."""
        return tuple(part for part in self.parts if isinstance(part, Picture))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen.

    Attributes:
        max_tokens: Most tokens of an answer.
        temperature: 0 always takes the likeliest token.
        top_p: Sample from the likeliest tokens that together reach this probability.
        stop: The answer ends before this text; None: the model ends the answer.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question to a chat model.

    Attributes:
        turns: The chat so far; the last turn is the user's.
        sampling: Settings of the sampling.
        seed: Seed of the sampling: the same request with the same seed is the same question.
        schema: Type that a structured answer must parse to; None: free text.
    """

    turns: tuple[Turn, ...]
    sampling: Sampling
    seed: int
    schema: type[Structured] | None = None

    @property
    def has_pictures(self) -> bool:
        """Whether a vision-language model is needed."""
        return any(turn.pictures for turn in self.turns)

    def key(self, model: str) -> str:
        """Return the id of a question to a model with this fingerprint: turns, pictures, sampling, schema and seed."""
        turns = [
            [turn.role, [part if isinstance(part, str) else {"sha256": part.sha256} for part in turn.parts]]
            for turn in self.turns
        ]
        sampling = self.sampling
        drawn = [sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.stop, self.seed]
        return digest("chat", model, turns, drawn, self.json_schema)

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """The schema as JSON Schema for servers."""
        return None if self.schema is None else self.schema.model_json_schema()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer, as received.

    Attributes:
        text: The whole text, any number of lines.
        finish: Why it ended.
        prompt_tokens: Tokens of the question, pictures included; 0 if a server does not say.
        completion_tokens: Tokens of the answer, likewise.
    """

    text: str
    finish: Finish
    prompt_tokens: int = 0
    completion_tokens: int = 0


Prices = tuple[float, float]
"""Cost per million tokens read and written."""


@runtime_checkable
class ChatModel(Protocol):
    """Anything that answers requests."""

    @property
    def name(self) -> str:
        """The model, as the config names it."""

    @property
    def fingerprint(self) -> str:
        """Everything of the model that decides an answer: weights and number type, or name and revision at a server."""

    @property
    def window(self) -> int:
        """How many requests are put in order together: a slice of the work on many of them."""

    def load(self) -> None:
        """Read the weights, if this process holds them and has not read them yet."""

    def stream(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Answer]]]:
        """Answer requests in any order.

        Yields:
            Lists of (place of the request, its answer), as they are finished.
        """


@runtime_checkable
class LocalModel(Protocol):
    """A chat model whose weights a process reads; other processes can read them as well."""

    def on(self, device: Device) -> "ChatModel":
        """Return the same model on another device, with no weights read yet."""


@runtime_checkable
class PricedModel(Protocol):
    """A chat model whose tokens cost money."""

    @property
    def prices(self) -> Prices | None:
        """Prices per million tokens read and written; None if they are not configured."""


def cost_of(read: float, written: float, prices: Prices) -> float:
    """Return what tokens cost at prices per million tokens read and written."""
    return (read * prices[0] + written * prices[1]) / 1e6


def count_tokens(read: int, written: int, model: ChatModel) -> dict[str, float]:
    """Count tokens for a job's status, and what they cost where the model has prices."""
    counts: dict[str, float] = {"tokens read": read, "tokens written": written}
    prices = model.prices if isinstance(model, PricedModel) else None
    if prices is not None:
        counts["cost"] = cost_of(read, written, prices)
    return counts


@runtime_checkable
class OptionScorer(Protocol):
    """A chat model that shows its probabilities: one in this process. Servers show those of a few tokens at most."""

    def score(self, requests: Sequence[Request], options: Sequence[str]) -> Iterator[list[tuple[int, list[float]]]]:
        """Give each option's log-probability, in nats, of being the first token of the answer, at temperature 1.

        Args:
            requests: The questions; their sampling and schema do not count.
            options: Answers, each one token of the model's vocabulary.

        Yields:
            Lists of (place of the request, log-probabilities in the order of ``options``), as they are finished. They
            are of the whole vocabulary: what is missing to a sum of 1 went to other tokens.

        Raises:
            ConfigurationError: if an option is not a single token.
        """
