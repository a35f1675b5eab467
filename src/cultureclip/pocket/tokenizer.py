"""The pocket models' own tokenizer: CLIP's byte-level BPE, trained on pocket's texts and small."""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, pre_tokenizers, trainers
from transformers import CLIPTokenizer

_PAD, _START, _END = "<|pad|>", "<|startoftext|>", "<|endoftext|>"
_SUFFIX = "</w>"


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_length: int) -> CLIPTokenizer:
    """Train a ``CLIPTokenizer``.

    The end token gets the highest id (open_clip pools the text at ``argmax``), padding gets 0.

    Args:
        texts: Training lines.
        vocabulary: Number of tokens, special ones counted.
        max_length: Context length in tokens, start and end counted.
    """
    blank, lines = CLIPTokenizer(), list(texts)
    tokenizer = blank.backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 3,
        # The trainer numbers these in the order of a randomly seeded hash map, and numbers break ties between merges.
        special_tokens=[f"{letter}{_SUFFIX}" for letter in _last_letters(tokenizer, lines)],
        min_frequency=1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        end_of_word_suffix=_SUFFIX,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    learned = [t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1]) if t not in (_PAD, _START, _END)]
    vocab = {token: i for i, token in enumerate([_PAD, _START, *learned, _END])}
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    return CLIPTokenizer(
        vocab=vocab,
        merges=merges,
        bos_token=_START,
        eos_token=_END,
        unk_token=_END,
        pad_token=_PAD,
        model_max_length=max_length,
    )


def _last_letters(tokenizer: Tokenizer, lines: Iterable[str]) -> list[str]:
    """Return letters that words end with, in their order."""
    words = (tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line)) for line in lines)
    return sorted({word[-1] for line in words for word, _ in line})
