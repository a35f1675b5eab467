"""Random-weight models in the file formats of those that ``conf/paper`` names.

The same classes and layouts (sharded safetensors, three text encoders, open_clip's own tokenizer), and the same pixels
a latent, at a few hundred thousand parameters or fewer.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from open_clip.model import CLIP
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME
from cultureclip.models.weights.checkpoint import save_atomically
from cultureclip.pocket.tokenizer import train_tokenizer

SHARD = "40KB"
"""Most bytes of a weights file: the language model, T5 and the transformer lie in several, as the real ones do."""

_TEXTS = ("A kimono from Japan with long wide sleeves", "The flag of Chad with blue, yellow and red stripes")
_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CLIP_WIDTH, _T5_WIDTH = 16, 32


def write_tiny_qwen(folder: Path, seed: int = 0) -> Path:
    """Write a two-layer Qwen2 with a byte-level tokenizer and a chat template; returns the folder."""
    tokenizer = byte_level_tokenizer()
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.pad_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        initializer_range=0.3,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder, max_shard_size=SHARD)
    tokenizer.save_pretrained(folder)
    return folder


def byte_level_tokenizer() -> Qwen2Tokenizer:
    """Train a byte-level BPE with the chat template of Qwen."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(_TEXTS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False))
    learned = json.loads(raw.to_str())["model"]
    tokenizer = Qwen2Tokenizer(learned["vocab"], [tuple(m) for m in learned["merges"]], eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = _CHAT
    return tokenizer


def write_tiny_sd35(folder: Path, seed: int = 0) -> Path:
    """Write a Stable-Diffusion-3.5 directory with all three text encoders and their tokenizers; returns the folder."""
    torch.manual_seed(seed)
    clip_tokenizer, t5 = train_tokenizer(_TEXTS, vocabulary=300, max_length=77), t5_tokenizer()
    clip_config = CLIPTextConfig(
        vocab_size=len(clip_tokenizer),
        hidden_size=_CLIP_WIDTH,
        intermediate_size=32,
        projection_dim=_CLIP_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=clip_tokenizer.bos_token_id,
        eos_token_id=clip_tokenizer.eos_token_id,
        pad_token_id=clip_tokenizer.pad_token_id,
    )
    t5_config = T5Config(
        vocab_size=len(t5),
        d_model=_T5_WIDTH,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_autoencoder(),
        text_encoder=CLIPTextModelWithProjection(clip_config),
        tokenizer=clip_tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(clip_config),
        tokenizer_2=clip_tokenizer,
        text_encoder_3=T5EncoderModel(t5_config),
        tokenizer_3=t5,
    )
    pipeline.to(dtype=torch.bfloat16).save_pretrained(folder, max_shard_size=SHARD)
    return folder


def _transformer() -> SD3Transformer2DModel:
    return SD3Transformer2DModel(
        sample_size=4,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=_T5_WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * _CLIP_WIDTH,
        pos_embed_max_size=4,
        qk_norm="rms_norm",
    )


def _autoencoder() -> AutoencoderKL:
    blocks = 4  # 8 pixels a latent
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * blocks,
        up_block_types=["UpDecoderBlock2D"] * blocks,
        block_out_channels=[8] * blocks,
        norm_num_groups=4,
        latent_channels=16,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def t5_tokenizer() -> T5TokenizerFast:
    """Build a unigram tokenizer of a few words and letters."""
    words = sorted({f"▁{word}" for text in _TEXTS for word in text.split()})
    letters = sorted({letter for text in _TEXTS for letter in text if letter != " "})
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    scored = [(word, -3.0) for word in words] + [(letter, -6.0) for letter in ("▁", *letters)]
    return T5TokenizerFast(vocab=special + scored, extra_ids=0)


def write_tiny_openai_clip(folder: Path, seed: int = 0) -> Path:
    """Write an open_clip directory as OpenAI's weights have it: QuickGELU, 77 tokens, open_clip's own tokenizer."""
    config = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2},
    }
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    folder.mkdir(parents=True)
    described = {"model_cfg": config, "preprocess_cfg": {"mean": mean, "std": std}}
    (folder / CONFIG_NAME).write_text(json.dumps(described), encoding="utf-8")
    torch.manual_seed(seed)
    save_atomically(CLIP(**config).state_dict(), folder / WEIGHTS_NAME)
    return folder
