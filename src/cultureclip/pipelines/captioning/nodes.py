"""Nodes of the captioning stage."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.pipelines.captioning.parameters import CaptioningParameters

logger = logging.getLogger(__name__)


def hold_dialogues(
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    caption_store: KeyedStore,
    voices_prompt: dict[str, Any],
    parameters: CaptioningParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let two voices talk about every accepted twin, where ``voices`` are configured.

    Returns:
        Table ``dialogues``, without rows if there are no voices; and the model's use.
    """
    from cultureclip.captions.dialogue import DIALOGUES, Dialogues, read_voices_prompt
    from cultureclip.concepts.exclusions import leave_out
    from cultureclip.models.chat.asking import Usage
    from cultureclip.models.chat.open import open_chat_model
    from cultureclip.tables import make_table

    usage, dialogues = Usage(), make_table([], DIALOGUES)
    if parameters.voices is not None:
        prompt, model = read_voices_prompt(voices_prompt), open_chat_model(parameters.language_model)
        holder = Dialogues(caption_store, model, prompt, parameters.voices, parameters.drawn_seed, usage, engine)
        dialogues = holder.hold(leave_out(twins, parameters.exclude.find(concepts), "Dialogues"), concepts)
    return dialogues, usage.to_metrics(parameters.language_model.prices)


def collect_claims(
    dialogues: pd.DataFrame,
    concepts: pd.DataFrame,
    caption_store: KeyedStore,
    claims_prompt: dict[str, Any],
    parameters: CaptioningParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Take claims from what the voices said, verify them and keep each once, where ``claims`` are configured.

    Returns:
        Table ``claims``, without rows if they are not; and the judge's use.
    """
    from cultureclip.captions.claims.claim import CLAIMS
    from cultureclip.captions.claims.collect import collect_claims as collect
    from cultureclip.captions.claims.prompts import Judge, read_claims_prompt
    from cultureclip.models.chat.asking import Usage
    from cultureclip.models.chat.open import open_chat_model
    from cultureclip.models.sentence import load_sentence_encoder
    from cultureclip.tables import make_table

    settings, usage = parameters.claims, Usage()
    if settings is None:
        return make_table([], CLAIMS), usage.to_metrics()
    model, prompt = settings.judge or parameters.language_model, read_claims_prompt(claims_prompt)
    judge = Judge(open_chat_model(model), prompt, caption_store, parameters.drawn_seed, settings.tries, usage)

    def embed(texts: Sequence[str]) -> np.ndarray:
        return load_sentence_encoder(settings.sentence_encoder).encode(texts)

    return collect(dialogues, concepts, settings, judge, embed), usage.to_metrics(model.prices)


def write_captions(
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    dialogues: pd.DataFrame,
    claims: pd.DataFrame,
    caption_store: KeyedStore,
    caption_prompt: dict[str, Any],
    parameters: CaptioningParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let the language model write captions of every concept of an accepted twin, and check each one.

    Returns:
        Table ``captions``, and the model's use: answers, tokens, seconds, cost.
    """
    from cultureclip.captions.claims.claim import list_spoken
    from cultureclip.captions.dialogue import said_of
    from cultureclip.captions.prompts import read_caption_prompt
    from cultureclip.captions.write import write_captions as write
    from cultureclip.concepts.exclusions import leave_out
    from cultureclip.models.chat.asking import Usage
    from cultureclip.models.chat.open import open_chat_model

    twins = leave_out(twins, parameters.exclude.find(concepts), "Captioning")
    prompt, usage = read_caption_prompt(caption_prompt, parameters), Usage()
    model = open_chat_model(parameters.language_model)
    captions = write(
        twins,
        concepts,
        said=said_of(claims if parameters.claims else dialogues),
        claims=list_spoken(claims),
        store=caption_store,
        model=model,
        prompt=prompt,
        settings=parameters,
        usage=usage,
        engine=engine,
    )
    return captions, usage.to_metrics(parameters.language_model.prices)


def summarise_captions(
    captions: pd.DataFrame,
    dialogues: pd.DataFrame,
    claims: pd.DataFrame,
    concepts: pd.DataFrame,
    usage: dict[str, Any],
    dialogue_usage: dict[str, Any],
    claim_usage: dict[str, Any],
) -> dict[str, Any]:
    """Count candidates, kept and rejected by reason, and warn of sides without a caption.

    Returns:
        The counts, how often the candidates name the right region, the model's use, and the same of dialogues and
        claims.
    """
    from cultureclip.captions.claims.claim import summarise_claims
    from cultureclip.captions.region_score import score_regions
    from cultureclip.captions.summary import summarise_captions as summarise

    cultures = concepts.set_index("concept_id")["cultures"]
    written = captions.drop_duplicates(["concept_id", "seed"]).dropna(subset=["english"])
    named = score_regions(zip(written["english"], written["concept_id"].map(cultures), strict=True))
    talk = {"lines": len(dialogues), "failed": int((dialogues["verdict"] == "failed").sum()), "usage": dialogue_usage}
    metrics = summarise(captions) | {"region_score": asdict(named), "usage": usage, "dialogues": talk}
    metrics["claims"] = summarise_claims(claims) | {"usage": claim_usage}
    if metrics["sides_without_caption"]:
        logger.warning(
            "Captioning: %s of %s sides have no accepted caption (rejected by reason: %s); raise captioning.%s",
            metrics["sides_without_caption"],
            metrics["sides"],
            metrics["rejected"],
            _what_to_raise(captions["reason"].dropna()),
        )
    return metrics


def _what_to_raise(reasons: pd.Series) -> str:
    """Name the parameter that helps most: an answer that is cut off is cut off again in every further try."""
    from cultureclip.captions.checks import Reason

    return "max_new_tokens" if reasons.mode().eq(Reason.CUT_OFF).any() else "max_tries"
