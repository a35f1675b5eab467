"""A two-layer Llama with random weights and a word tokenizer, in the Hugging Face safetensors format."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cultureclip.models.settings import LanguageModelSettings
from cultureclip.models.text import LanguageModel, load_language_model

_TEXT = "a the from with of Caption: kimono sari robe cloth Japan India red wide long sleeves A B"
WORDS = _TEXT.split()
TEMPLATE = (
    "{% for m in messages %}<s> {{ m['role'] }} {{ m['content'] }}"
    "{% if not (loop.last and m['role'] == 'assistant') %} </s> {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s> assistant {% endif %}"
)


def write_tiny_llama(folder: Path, seed: int = 0) -> Path:
    """Write the model and return its folder."""
    vocabulary = ["<unk>", "<s>", "</s>", "system", "user", "assistant", *WORDS, *(f"w{i}" for i in range(40))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def open_language_model(folder: Path, **settings: Any) -> LanguageModel:
    """The model in a folder, by the production code."""
    return load_language_model(LanguageModelSettings(path=str(folder), **settings))
