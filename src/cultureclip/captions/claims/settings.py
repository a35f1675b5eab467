"""Settings of claims: who checks them, and how many are kept. No torch is imported: configuration loads fast."""

from typing import Literal

from pydantic import Field

from cultureclip.models.chat.settings import ChatSettings
from cultureclip.models.settings import ModelPath
from cultureclip.settings_base import Settings


class ClaimSettings(Settings):
    """How claims are taken from dialogues.

    Attributes:
        judge: Who extracts, verifies and filters; None: the model that writes captions.
        verify_by: Who says whether the facts entail a claim: the judge, or ``words``, the checker of a caption's units,
            which knows entailed and undecided claims alone.
        filter_dialogues: Whether CLCA's filter drops dialogues before anything is taken from them.
        min_words: Fewest words of a claim.
        most: Most claims that are kept of a concept: so many clusters are made of their sentence embeddings.
        sentence_encoder: Model of the embeddings.
        caption_kind: Kind of caption as which claims are tried before the model is asked; None: claims are no captions.
        max_new_tokens: Most tokens of a list of claims, or of a claim that is written again.
        tries: Most times that a question is asked whose answer has the wrong form.
    """

    judge: ChatSettings | None = None
    verify_by: Literal["judge", "words"] = "judge"
    filter_dialogues: bool = False
    min_words: int = Field(default=5, ge=1, le=100)
    most: int = Field(default=10, ge=1, le=1000)
    sentence_encoder: ModelPath
    caption_kind: str | None = None
    max_new_tokens: int = Field(default=96, ge=8, le=4096)
    tries: int = Field(default=2, ge=1, le=10)
