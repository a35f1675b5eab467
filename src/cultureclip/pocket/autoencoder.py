"""The generator's image autoencoder: a small ``AutoencoderKL`` (4 x smaller latents), used without sampling."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from cultureclip.engine.progress import progress_bar
from cultureclip.models.weights.checkpoint import load_training_state, save_training_state
from cultureclip.pocket.pictures import augment, to_float
from cultureclip.pocket.settings import AutoencoderSettings


def build_autoencoder(settings: AutoencoderSettings) -> AutoencoderKL:
    """Return an untrained autoencoder with three stages: 48 px pictures become 12 x 12 latents."""
    width = settings.width
    return AutoencoderKL(
        block_out_channels=(width, width * 2, width * 2),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=settings.latent_channels,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def train_autoencoder(
    pictures: torch.Tensor, settings: AutoencoderSettings, seed: int, checkpoint: Path
) -> AutoencoderKL:
    """Minimise L1 + squared error + terms for edges and for local colour between a picture and its reconstruction.

    Args:
        pictures: uint8 [N, 3, H, W].
        settings: The model's size and the optimisation.
        seed: Seed of the weights and the data order.
        checkpoint: File of the training state, written every 200 steps; an interrupted run resumes from it.

    Returns:
        The trained model, its ``scaling_factor`` set so that latents have unit variance.
    """
    steps, batch, lr = settings.steps, settings.batch, settings.lr
    torch.manual_seed(seed)
    model = build_autoencoder(settings).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=1e-4)
    start = load_training_state(checkpoint, model, optimizer)
    bar = progress_bar(range(start, steps), desc="autoencoder", initial=start, total=steps)
    for step in bar:
        draw = torch.Generator().manual_seed(seed * 1_000_003 + step)
        chosen = pictures[torch.randint(len(pictures), (batch,), generator=draw)]
        x = augment(to_float(chosen), draw, zoom=0.25, shift=0.15, degrees=15, colour=0.2).to(
            memory_format=torch.channels_last
        )
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 100) * max(0.02, 1.0 - step / steps)
        with torch.autocast("cpu", torch.bfloat16):
            z = model.encode(x).latent_dist.mode()
            y = model.decode(z).sample
        y = y.float()
        edges = F.l1_loss(y.diff(dim=-1), x.diff(dim=-1)) + F.l1_loss(y.diff(dim=-2), x.diff(dim=-2))
        tint = F.l1_loss(F.avg_pool2d(y, 6), F.avg_pool2d(x, 6))  # flags live by their colours
        loss = F.l1_loss(y, x) + F.mse_loss(y, x) + 0.5 * edges + 2.0 * tint
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            save_training_state(checkpoint, model, optimizer, step + 1)
    with torch.no_grad():
        latents = encode_all(model, pictures)
    model.register_to_config(scaling_factor=float(1.0 / latents.std()), shift_factor=float(latents.mean()))
    return model.eval()


@torch.no_grad()
def encode_all(model: AutoencoderKL, pictures: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """Return the latents of many pictures, not scaled: float [N, C, h, w]."""
    return torch.cat([model.encode(to_float(chunk)).latent_dist.mode() for chunk in pictures.split(batch)])
