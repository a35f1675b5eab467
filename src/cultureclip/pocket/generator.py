"""The pocket generator: a ``StableDiffusion3Pipeline`` of small parts, trained by flow matching on atlas drawings.

Flow matching (Lipman et al. 2023; Esser et al. 2024): z_s = (1 - s) z + s e with noise e; the transformer predicts
e - z at (z_s, s, text). The class, the file layout and the sampler are those of Stable Diffusion 3.5.
"""

import copy
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from cultureclip.engine.progress import progress_bar
from cultureclip.models.weights.checkpoint import load_training_state, save_training_state
from cultureclip.pocket.autoencoder import encode_all
from cultureclip.pocket.pictures import augment, to_float
from cultureclip.pocket.settings import GeneratorSettings

EMA_DECAY = 0.999
SAVE_EVERY = 250
VIEWS = 48
OBJECT_SHARE = 2.0
"""Draws of an object per draw of a flag: a flag is a few stripes and is learned in half the steps."""


class Denoiser(torch.nn.Module):
    """The transformer and its two text encoders, trained together."""

    def __init__(self, tokenizer: CLIPTokenizer, settings: GeneratorSettings, latents: int, grid: int):
        super().__init__()
        width, text_width = settings.width, settings.text_width
        text = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=text_width,
            intermediate_size=text_width * 4,
            projection_dim=text_width,
            num_hidden_layers=2,
            num_attention_heads=text_width // 32,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        self.text_encoder = CLIPTextModelWithProjection(text)
        self.text_encoder_2 = CLIPTextModelWithProjection(copy.deepcopy(text))
        self.transformer = SD3Transformer2DModel(
            sample_size=grid,
            patch_size=2,
            in_channels=latents,
            out_channels=latents,
            num_layers=settings.layers,
            attention_head_dim=32,
            num_attention_heads=width // 32,
            joint_attention_dim=2 * text_width,
            caption_projection_dim=width,
            pooled_projection_dim=2 * text_width,
            pos_embed_max_size=grid // 2,
        )

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return predicted velocity [B, C, h, w] for latents at noise level ``sigma`` [B] and token ids [B, L].

        The text is embedded as ``StableDiffusion3Pipeline.encode_prompt`` does: penultimate states side by side,
        pooled projections side by side.
        """
        states, pooled = [], []
        for encoder in (self.text_encoder, self.text_encoder_2):
            output = encoder(tokens, output_hidden_states=True)
            states.append(output.hidden_states[-2])
            pooled.append(output.text_embeds)
        velocity: torch.Tensor = self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=torch.cat(states, dim=-1),
            pooled_projections=torch.cat(pooled, dim=-1),
            timestep=sigma * 1000,
            return_dict=False,
        )[0]
        return velocity


def train_generator(
    pictures: torch.Tensor,
    concepts: list[dict[str, Any]],
    describe: Callable[[Mapping[str, Any], random.Random], str],
    tokenizer: CLIPTokenizer,
    autoencoder: AutoencoderKL,
    settings: GeneratorSettings,
    seed: int,
    checkpoint: Path,
) -> StableDiffusion3Pipeline:
    """Train on (picture, changing caption) pairs and return the pipeline with averaged weights.

    Args:
        pictures: uint8 [N, 3, H, W], one a concept.
        concepts: N atlas rows, in the same order.
        describe: Writes a caption of a row.
        tokenizer: For both text encoders.
        autoencoder: Trained; supplies latents and their scale.
        settings: The model's size and the optimisation (warm-up, then linear decay to a twentieth).
        seed: Seed of weights, data order, captions and noise.
        checkpoint: Training state (``.safetensors``), the average included; a run that was cut off goes on from it.
    """
    steps, batch, lr = settings.steps, settings.batch, settings.lr
    torch.manual_seed(seed)
    sample = encode_all(autoencoder, pictures[:1])
    model = Denoiser(tokenizer, settings, latents=sample.shape[1], grid=sample.shape[2])
    averaged = copy.deepcopy(model).requires_grad_(False)
    both = torch.nn.ModuleDict({"live": model, "averaged": averaged})  # one file: a cut never parts the two
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    start = load_training_state(checkpoint, both, optimizer)
    latents = augmented_latents(autoencoder, pictures, seed)
    shares = torch.tensor([1.0 if concept["universal"] == "flag" else OBJECT_SHARE for concept in concepts])
    bar = progress_bar(range(start, steps), desc="generator", initial=start, total=steps)
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 200) * max(0.05, 1.0 - step / steps)
        draw, rng = torch.Generator().manual_seed(seed * 1_000_003 + step), random.Random(seed * 1_000_003 + step)
        chosen = torch.multinomial(shares, batch, replacement=True, generator=draw)
        captions = [describe(concepts[i], rng) for i in chosen.tolist()]
        tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        views = torch.randint(len(latents), (batch,), generator=draw)
        loss = flow_matching_loss(model, latents[views, chosen], tokens, draw)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        for mean, live in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(live, 1 - decay)
        bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_training_state(checkpoint, both, optimizer, step + 1)
    return assemble(averaged, tokenizer, autoencoder)


@torch.no_grad()
def augmented_latents(autoencoder: AutoencoderKL, pictures: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the latents of :data:`VIEWS` augmented views per picture, of unit variance: float [VIEWS, N, C, h, w]."""
    config = autoencoder.config
    views = []
    for view in progress_bar(range(VIEWS), desc="latents"):
        draw = torch.Generator().manual_seed(seed * 7919 + view)
        seen = augment(to_float(pictures), draw, zoom=0.1, shift=0.05, degrees=6, colour=0.08).split(64)
        views.append(torch.cat([autoencoder.encode(chunk).latent_dist.mode() for chunk in seen]))
    latents: torch.Tensor = (torch.stack(views) - config.shift_factor) * config.scaling_factor
    return latents


def flow_matching_loss(
    model: Denoiser, clean: torch.Tensor, tokens: torch.Tensor, draw: torch.Generator
) -> torch.Tensor:
    """Return the mean square of the velocity's error at sigma = sigmoid(0.4 + 1.2 n): text decides at high noise.

    Args:
        model: Predicts the velocity.
        clean: Latents of unit variance, float [B, C, h, w].
        tokens: Token ids of their captions, [B, L].
        draw: Source of the noise and its levels.
    """
    sigma = torch.sigmoid(0.4 + 1.2 * torch.randn(len(clean), generator=draw))
    noise = torch.randn(clean.shape, generator=draw)
    noisy = torch.lerp(clean, noise, sigma.view(-1, 1, 1, 1))
    with torch.autocast("cpu", torch.bfloat16):
        velocity = model(noisy, sigma, tokens)
    return F.mse_loss(velocity.float(), noise - clean)


def assemble(model: Denoiser, tokenizer: CLIPTokenizer, autoencoder: AutoencoderKL) -> StableDiffusion3Pipeline:
    """Return the standard pipeline around trained parts; the T5 encoder is absent."""
    return StableDiffusion3Pipeline(
        transformer=model.transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder.eval(),
        text_encoder=model.text_encoder.eval(),
        tokenizer=tokenizer,
        text_encoder_2=model.text_encoder_2.eval(),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
