"""Part of ``bench/gpu.py`` that generates: Stable Diffusion 3.5 Large Turbo's shape, with and without each option."""

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from device import held, peak_gb, say, use, wait
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel, T5TokenizerFast

from cultureclip.models.diffusion.image_families import FAMILIES
from cultureclip.models.diffusion.image_memory import set_decoding
from cultureclip.models.diffusion.image_pipeline import cast_layerwise
from cultureclip.models.diffusion.text_to_image import TextToImage, load_text_to_image, put_to_work
from cultureclip.models.memory import is_out_of_memory
from cultureclip.models.settings import ImageMemory
from cultureclip.models.weights.locate import locate
from cultureclip.pocket.tokenizer import train_tokenizer

POCKET = {"num_inference_steps": 12, "guidance_scale": 1.0, "height": 48, "width": 48, "max_sequence_length": 0}
TURBO = {"num_inference_steps": 4, "guidance_scale": 0.0, "height": 512, "width": 512, "max_sequence_length": 256}
FP8 = {"transformer": {"quant_method": "layerwise", "storage": "float8_e4m3fn"}}
LARGE = {
    "transformer": {"num_layers": 38, "num_attention_heads": 38, "attention_head_dim": 64, "pos_embed_max_size": 192},
    "clip": [(768, 12, 12), (1280, 32, 20)],
    "t5": {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
    "vae": {
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "sample_size": 1024,
    },
}
SMALL = {
    "transformer": {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 8, "pos_embed_max_size": 16},
    "clip": [(16, 2, 2), (32, 2, 2)],
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    "vae": {"block_out_channels": [8, 8, 8, 8], "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 64},
}


def compare_pocket(device: str) -> dict[str, Any]:
    """Largest difference and PSNR of pocket's pictures on a device against those of the CPU."""
    folder = locate("package:cultureclip/pocket/weights/generator")
    prompts, seeds = [f"a red fan, number {n}, in Kyoto" for n in range(8)], list(range(8))
    made = [
        np.stack(
            [
                np.asarray(one, float)
                for one in load_text_to_image(folder, place, "float32").generate(prompts, seeds, POCKET)
            ]
        )
        for place in ("cpu", device)
    ]
    difference = np.abs(made[0] - made[1])
    psnr = 10 * math.log10(255**2 / np.square(difference).mean()) if difference.any() else None
    return {"largest_difference": difference.max(), "psnr": psnr, "ok": psnr is None or psnr > 30}


def build(shape: dict[str, Any], device: str) -> StableDiffusion3Pipeline:
    """A pipeline with random bf16 weights, made on the device; tokenizers have few words and the real lengths."""
    texts = ["a red kimono with white cranes", "the flag of Chad"]
    clip_tokenizer = train_tokenizer(texts, vocabulary=300, max_length=77)
    scored = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -3.0) for word in texts[0].split())]
    t5_tokenizer = T5TokenizerFast(vocab=scored, extra_ids=0)
    widths = [width for width, _, _ in shape["clip"]]
    ids = {name: getattr(clip_tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with on(device):
        encoders = [
            CLIPTextModelWithProjection(
                CLIPTextConfig(
                    vocab_size=49408,
                    hidden_size=width,
                    intermediate_size=4 * width,
                    projection_dim=width,
                    num_hidden_layers=layers,
                    num_attention_heads=heads,
                    **ids,
                )
            )
            for width, layers, heads in shape["clip"]
        ]
        t5 = T5EncoderModel(T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **shape["t5"]))
        sizes = shape["transformer"]
        transformer = SD3Transformer2DModel(
            sample_size=128,
            in_channels=16,
            out_channels=16,
            joint_attention_dim=shape["t5"]["d_model"],
            caption_projection_dim=sizes["num_attention_heads"] * sizes["attention_head_dim"],
            pooled_projection_dim=sum(widths),
            qk_norm="rms_norm",
            **sizes,
        )
        blocks = len(shape["vae"]["block_out_channels"])
        vae = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * blocks,
            up_block_types=["UpDecoderBlock2D"] * blocks,
            latent_channels=16,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
            **shape["vae"],
        )
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae.eval(),
        text_encoder=encoders[0].eval(),
        tokenizer=clip_tokenizer,
        text_encoder_2=encoders[1].eval(),
        tokenizer_2=clip_tokenizer,
        text_encoder_3=t5.eval(),
        tokenizer_3=t5_tokenizer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def on(device: str) -> Iterator[None]:
    """Make weights in bf16 on a device."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


class Shown:
    """One pipeline, measured again and again with other options.

    Args:
        device: Where to work.
        tiny: Small shapes.
    """

    def __init__(self, device: str, *, tiny: bool) -> None:
        self.device, self.shape = device, SMALL if tiny else LARGE
        self.call = {**TURBO, "height": 32, "width": 32, "max_sequence_length": 16} if tiny else TURBO
        self.rounds, self.batch, self.large = (1, 2, 128) if tiny else (3, 8, 2048)
        self.rebuild()

    def rebuild(self) -> None:
        """Make the pipeline, as it is before any option; memory for two is not asked for."""
        self.pipeline = None
        held(self.device)
        began = time.perf_counter()
        self.pipeline = build(self.shape, self.device)
        parts = [part for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        count = sum(one.numel() for part in parts for one in part.parameters())
        say(what="built", parameters=count, seconds=round(time.perf_counter() - began, 1))

    def measure(self, what: str, batch: int, memory: ImageMemory, *, side: int = 0, tiling: bool = False) -> None:
        """Print images per second and the most memory held, after a first batch; ``side`` is in pixels."""
        call = self.call | ({"height": side, "width": side} if side else {})
        rounds = 1 if memory.offload == "sequential" else self.rounds  # all weights travel in every step
        if memory.text_encoders != "resident" or memory.offload != "none":
            self.pipeline.to("cpu")
        set_decoding(self.pipeline, slicing=memory.vae_slicing, tiling=tiling)
        model = TextToImage(self.pipeline, Path("random"), self.device, FAMILIES["StableDiffusion3Pipeline"])
        try:
            put_to_work(model, memory, None)
            self._draw(model, call, batch, 1)
            held(self.device)
            began = time.perf_counter()
            self._draw(model, call, batch, rounds)
            seconds = time.perf_counter() - began
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            say(what=what, batch=batch, out_of_memory=True)
        else:
            rate, memory_gb = round(rounds * batch / seconds, 3), peak_gb(self.device)
            say(what=what, batch=batch, images_per_second=rate, seconds=round(seconds, 3), memory_gb=memory_gb)
        self._reset(model)

    def _draw(self, model: TextToImage, call: dict[str, Any], batch: int, rounds: int) -> None:
        prompts = [[f"a red kimono with {n} cranes" for n in range(batch)]] * rounds
        texts = model.embed(prompts, call) if model.embeds_first else prompts
        for one in texts:
            model.generate(one, list(range(batch)), call)
        wait(self.device)

    def _reset(self, model: TextToImage) -> None:
        """Undo the options: all parts are attached, whole and not compiled; the caller's next options place them."""
        if model.text_encoders is not None:
            model.text_encoders.reattach()
        self.pipeline.remove_all_hooks()
        self.pipeline.vae.disable_slicing()
        self.pipeline.vae.disable_tiling()
        for module in self.pipeline.transformer.modules():
            module._compiled_call_impl = None
        held(self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["synthesis"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    use(options.device)
    try:
        shown = Shown(options.device, tiny=options.tiny)
    except torch.OutOfMemoryError:
        say(what="built", out_of_memory=True)
        return
    batch = shown.batch
    shown.measure("plain", batch, ImageMemory())
    shown.measure("plain", 1, ImageMemory())
    shown.measure("compile", batch, ImageMemory(compile=True))
    shown.measure("vae_slicing", batch, ImageMemory(vae_slicing=True))
    shown.measure("large", 1, ImageMemory(), side=shown.large)
    shown.measure("large, vae_tiling", 1, ImageMemory(), side=shown.large, tiling=True)
    shown.measure("text_encoders offloaded", batch, ImageMemory(text_encoders="offloaded"))
    shown.measure("offload model", batch, ImageMemory(offload="model"))
    cast_layerwise(shown.pipeline, FP8)
    shown.measure("8-bit weights", batch, ImageMemory())
    if options.device == "cpu":
        say(
            what="offload sequential",
            skipped="diffusers calls the CPU cpu:0, which accelerate takes for another device than cpu",
        )
        return
    shown.rebuild()
    shown.measure("offload sequential", batch, ImageMemory(offload="sequential"))


if __name__ == "__main__":
    main()
