"""Expected ratings: the mean of the five digits, weighted by the probabilities with which a judge would write them.

The written digit is the likeliest one, and two names that differ in probability alone get the same digit. The mean over
the digits (as CAIRe grades, arXiv 2506.09109) tells them apart: it shows what the judge knows, not what it writes.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from cultureclip.judging.rating import CRITERIA, HIGHEST, LOWEST
from cultureclip.models.chat.request import Picture

_DIGITS = tuple(range(LOWEST, HIGHEST + 1))


def expect_ratings(
    folder: Path, pictures: Sequence[Picture], texts: Sequence[str], max_tokens: int, batch: int = 64
) -> np.ndarray:
    """Let the judge answer freely and take the mean of the digits at each place where it wrote one.

    Args:
        folder: Directory of pocket's vision-language judge.
        pictures: What is shown, N.
        texts: What is asked about each, N.
        max_tokens: Most tokens of an answer.
        batch: Questions at once; all of a batch have one length, so nothing is padded.

    Returns:
        float64 [N, 3], criteria in the order of :data:`CRITERIA`; NaN where the answer has not exactly three ratings.
    """
    processor: Any = AutoProcessor.from_pretrained(folder)
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    digits = torch.tensor([processor.tokenizer.encode(str(digit), add_special_tokens=False)[-1] for digit in _DIGITS])
    found = np.full((len(texts), len(CRITERIA)), np.nan)
    with torch.inference_mode():
        for places in _of_one_length([len(processor.tokenizer(text).input_ids) for text in texts], batch):
            inputs = processor(
                text=[_write(processor, texts[i]) for i in places],
                images=[Image.open(io.BytesIO(pictures[i].data)).convert("RGB") for i in places],
                return_tensors="pt",
            )
            answer = model.generate(
                **inputs,
                max_new_tokens=max_tokens,
                do_sample=False,
                output_scores=True,
                return_dict_in_generate=True,
            )
            written = answer.sequences[:, inputs.input_ids.shape[1] :]
            chances = torch.stack(answer.scores, dim=1)[:, :, digits].softmax(-1)  # [B, T, 5]
            means = (chances * torch.tensor(_DIGITS)).sum(-1)
            for row, i in enumerate(places):
                at = torch.isin(written[row], digits).nonzero().ravel()
                if len(at) == len(CRITERIA):
                    found[i] = means[row, at].numpy()
    return found


def _of_one_length(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Split the places of the questions into batches of one length each."""
    for length in sorted(set(lengths)):
        places = [i for i, own in enumerate(lengths) if own == length]
        for start in range(0, len(places), batch):
            yield places[start : start + batch]


def _write(processor: Any, text: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": text}]
    return str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))
