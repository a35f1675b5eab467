"""Text-to-image pipelines of every family with random weights of a few thousand parameters, as they are released."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from cultureclip.pocket.tokenizer import train_tokenizer
from tests.support.tiny_paper import byte_level_tokenizer, t5_tokenizer, write_tiny_sd35

_TEXTS = ("a red kimono with white cranes", "the flag of Chad", "a bowl of ramen with egg")
_WIDTH = 16
SMALL = {"num_inference_steps": 2, "height": 16, "width": 16}
"""Steps and size that suit all of them; Sana's autoencoder has 8 pixels per latent here, not 32."""


def _clip_tokenizer() -> CLIPTokenizer:
    return train_tokenizer(_TEXTS, vocabulary=300, max_length=16)


def _clip_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=32,
        projection_dim=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _t5() -> tuple[T5TokenizerFast, T5EncoderModel]:
    tokenizer = t5_tokenizer()
    config = T5Config(vocab_size=len(tokenizer), d_model=_WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return tokenizer, T5EncoderModel(config)


def _autoencoder(latents: int, **options: Any) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 8],
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=latents,
        sample_size=32,
        **options,
    )


def sdxl() -> StableDiffusionXLPipeline:
    """A U-Net of two levels, with two CLIP text encoders."""
    tokenizer = _clip_tokenizer()
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        transformer_layers_per_block=1,
        projection_class_embeddings_input_dim=6 * 4 + _WIDTH,
        cross_attention_dim=2 * _WIDTH,
    )
    return StableDiffusionXLPipeline(
        vae=_autoencoder(4),
        text_encoder=CLIPTextModel(_clip_config(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(_clip_config(tokenizer)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )


def flux() -> FluxPipeline:
    """A block of each kind; guidance is an input, as in FLUX.1-dev."""
    clip, (tokenizer, encoder) = _clip_tokenizer(), _t5()
    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=_WIDTH,
        pooled_projection_dim=_WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(4, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1),
        text_encoder=CLIPTextModel(_clip_config(clip)),
        tokenizer=clip,
        text_encoder_2=encoder,
        tokenizer_2=tokenizer,
        transformer=transformer,
    )


def _pixart(kind: Callable[..., Any]) -> Any:
    tokenizer, encoder = _t5()
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        sample_size=8,
        caption_channels=_WIDTH,
        cross_attention_dim=16,
        use_additional_conditions=False,
    )
    return kind(
        tokenizer=tokenizer,
        text_encoder=encoder,
        vae=_autoencoder(4),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    )


def pixart_alpha() -> PixArtAlphaPipeline:
    """A block that attends to T5."""
    return _pixart(PixArtAlphaPipeline)


def pixart_sigma() -> PixArtSigmaPipeline:
    """As PixArt-Alpha, with longer prompts."""
    return _pixart(PixArtSigmaPipeline)


def sana() -> SanaPipeline:
    """Linear attention, a deep-compression autoencoder, and Gemma 2 as text encoder."""
    vocabulary = {token: place for place, token in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁"])}
    vocabulary |= {letter: 6 + place for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    encoder = Gemma2Config(
        vocab_size=len(vocabulary),
        hidden_size=_WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=_WIDTH,
        sample_size=4,
    )
    autoencoder = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        upsample_block_type="interpolate",
        downsample_block_type="stride_conv",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
    )
    return SanaPipeline(
        tokenizer=GemmaTokenizer(vocabulary, []),
        text_encoder=Gemma2Model(encoder),
        vae=autoencoder,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )


def qwen_image() -> QwenImagePipeline:
    """A two-stream block, a causal 3-D autoencoder, and Qwen2.5-VL as text encoder."""
    tokenizer = byte_level_tokenizer()
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": _WIDTH,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2], "rope_type": "default"},
        },
        vision_config={
            "depth": 1,
            "hidden_size": _WIDTH,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": _WIDTH,
        },
    )
    transformer = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_WIDTH,
        axes_dims_rope=(8, 4, 4),
    )
    autoencoder = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder,
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokenizer,
        transformer=transformer,
    )


_BUILDERS: dict[str, Callable[[], Any]] = {
    "StableDiffusionXLPipeline": sdxl,
    "FluxPipeline": flux,
    "PixArtAlphaPipeline": pixart_alpha,
    "PixArtSigmaPipeline": pixart_sigma,
    "SanaPipeline": sana,
    "QwenImagePipeline": qwen_image,
}
CALLS: dict[str, dict[str, Any]] = {
    "StableDiffusion3Pipeline": {**SMALL, "guidance_scale": 3.0, "negative_prompt": "a bowl", "max_sequence_length": 8},
    "StableDiffusionXLPipeline": {**SMALL, "guidance_scale": 3.0, "negative_prompt": "a bowl"},
    "FluxPipeline": {
        **SMALL,
        "guidance_scale": 3.0,
        "true_cfg_scale": 2.0,
        "negative_prompt": "a bowl",
        "max_sequence_length": 8,
    },
    "PixArtAlphaPipeline": {
        **SMALL,
        "guidance_scale": 3.0,
        "negative_prompt": "a bowl",
        "max_sequence_length": 8,
        "use_resolution_binning": False,
    },
    "PixArtSigmaPipeline": {
        **SMALL,
        "guidance_scale": 3.0,
        "negative_prompt": "a bowl",
        "max_sequence_length": 8,
        "use_resolution_binning": False,
    },
    "SanaPipeline": {
        **SMALL,
        "height": 32,
        "width": 32,
        "guidance_scale": 3.0,
        "negative_prompt": "a bowl",
        "max_sequence_length": 8,
        "use_resolution_binning": False,
        "complex_human_instruction": None,
    },
    "QwenImagePipeline": {**SMALL, "true_cfg_scale": 2.0, "negative_prompt": "a bowl", "max_sequence_length": 64},
}
"""Class -> a call with guidance and a negative prompt, for pictures of a few hundred pixels."""


def write_tiny_generator(name: str, folder: Path, seed: int = 0) -> Path:
    """Write the directory of a pipeline class with random weights; returns the folder."""
    if name == "StableDiffusion3Pipeline":
        return write_tiny_sd35(folder, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _BUILDERS[name]().save_pretrained(folder)
    return folder
