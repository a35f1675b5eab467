"""Tokenizer, chat template and image processor of pocket's vision-language judge."""

from pathlib import Path

from tokenizers import AddedToken, decoders
from transformers import AutoTokenizer, CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

from cultureclip.judging.rating import CRITERIA
from cultureclip.pocket.vision_judge.damage import TRAINED
from cultureclip.pocket.vision_judge.truth import CLEAR, CLOSING, MIDDLE, REASONS, opening

IMAGE = "<image>"
CHAT_TEMPLATE = """\
{%- for message in messages if message['role'] == 'user' -%}
{%- if message['content'] is string -%}<|startoftext|>{{ message['content'] }}<|endoftext|>
{%- else -%}
{%- for part in message['content'] if part['type'] == 'image' -%}<image>{%- endfor -%}
<|startoftext|>
{%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}
<|endoftext|>
{%- endif -%}
{%- endfor -%}"""
"""A user's turn is the picture, then the words as the judge's text tower reads them. The judge takes no instructions:
a system turn is left out."""


def build_processor(judge: Path, size: int, patch: int) -> LlavaProcessor:
    """Build the processor over the tokenizer of the image-text judge: each part of an answer is one token more.

    Args:
        judge: Directory of the image-text judge.
        size: Edge of its pictures in pixels.
        patch: Edge of its patches.
    """
    backend = AutoTokenizer.from_pretrained(judge).backend_tokenizer
    backend.no_truncation()  # a fast tokenizer takes the backend's limits over as its defaults
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|startoftext|>",  # noqa: S106 - not a password
        eos_token="<|endoftext|>",  # noqa: S106
        pad_token="<|pad|>",  # noqa: S106
        unk_token="<|endoftext|>",  # noqa: S106
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.backend_tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    tokenizer.backend_tokenizer.post_processor = None  # the chat template writes start and end
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(IMAGE, normalized=False)]})
    tokenizer.add_tokens([AddedToken(part, normalized=False) for part in answer_vocabulary()])
    half = [0.5, 0.5, 0.5]
    edges = {"height": size, "width": size}
    pictures = CLIPImageProcessor(
        size=edges, do_center_crop=False, crop_size=edges, image_mean=half, image_std=half, resample=3
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def answer_vocabulary() -> list[str]:
    """Return the parts of answers that are one token each; the digits are tokens already."""
    return [*(opening(name) for name in CRITERIA), MIDDLE, CLOSING, *REASONS.values(), CLEAR, *TRAINED]
