"""Pocket's vision-language judge: a ``LlavaForConditionalGeneration`` built from the two towers of the CLIP judge.

Trained from scratch, a model of this size learns the names of its training and no others. So it starts from what the
CLIP judge knows:

- The vision tower is the judge's, tensor by tensor. Features of an early and of the last block are projected.
- The first blocks of the language model (GPT-2: pre-norm, learned positions, GELU, as in CLIP's text tower) compute the
  judge's text tower in the first half of the residual stream: at the end token of a question stands the text's
  embedding. The second half holds the picture's; a marker hides pictures from these blocks, as CLIP's text tower
  does not see them.
- The next block's heads start as comparisons: their scores are the cosine of the two embeddings at three thresholds.

Everything from that block on is trained; what lies below stays as it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    GPT2Config,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerBase,
)

from cultureclip.clip.export.hf_names import to_clip_model
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME
from cultureclip.models.weights.checkpoint import load_tensors
from cultureclip.pocket.vision_judge.processing import IMAGE
from cultureclip.reading.json_text import read_object

EARLY_BLOCK = 1
"""Block of the vision tower that still sees the damages, which the judge's training made the last block ignore."""
HEADS = 4
MASK = 12.0
"""What hiding a key takes off its score."""
COMPARED = 62
"""Directions of the embeddings that are compared: a head's width less two for the mask."""
MARKER, FLAG = 6.0, 0.5
"""Marks of a picture's tokens, and of the class token and the start of a question, in the last directions."""
EMBEDDED = 8.0
"""Norm of a picture's projected embedding, large enough to outweigh what else is projected."""
STEEPNESS = 1.5
"""Standard deviations of the cosine in the comparing heads' sigmoid."""
HIDE, SAID = 8.0, 4.0
"""Score that hides a key from the comparing heads, and the size of what they say."""


@dataclass(frozen=True)
class Towers:
    """The CLIP judge, read from its directory.

    Attributes:
        config: Its ``model_cfg``.
        state: Its tensors, float32.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]

    @classmethod
    def read(cls, folder: Path) -> "Towers":
        """Read a directory that ``open_clip`` loads."""
        config = read_object(folder / CONFIG_NAME)["model_cfg"]
        return cls(config, {name: t.float() for name, t in load_tensors(folder / WEIGHTS_NAME)[0].items()})

    @property
    def image_tokens(self) -> int:
        """Patches and the class token."""
        return int(self.state["visual.positional_embedding"].shape[0])


def build_model(
    towers: Towers, tokenizer: PreTrainedTokenizerBase, directions: Tensor, blocks: int
) -> LlavaForConditionalGeneration:
    """Build the model whose lower blocks are the judge's towers; ``blocks`` more follow, to be trained."""
    vision, text = towers.config["vision_cfg"], towers.config["text_cfg"]
    width = text["width"]
    language = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=towers.image_tokens + 2 * text["context_length"],
        n_embd=2 * width,
        n_layer=text["layers"] + blocks,
        n_head=HEADS,
        n_inner=4 * width,
        activation_function="gelu",
        layer_norm_epsilon=5e-6,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=vision["width"],
            intermediate_size=4 * vision["width"],
            num_hidden_layers=vision["layers"],
            num_attention_heads=vision["width"] // vision["head_width"],
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            hidden_act="gelu",
        ),
        text_config=language,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        projector_hidden_act="linear",
        vision_feature_layer=[EARLY_BLOCK, vision["layers"]],
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        _copy_vision_tower(model, towers)
        _copy_text_tower(model, towers)
        _start_projector(model, towers, directions)
        _start_comparison(model, towers, directions)
    return model


def _copy_vision_tower(model: LlavaForConditionalGeneration, towers: Towers) -> None:
    state = {n: t for n, t in to_clip_model(towers.state).items() if n.startswith("vision_model.")}
    model.model.vision_tower.load_state_dict({n.removeprefix("vision_model."): t for n, t in state.items()})


def _copy_text_tower(model: LlavaForConditionalGeneration, towers: Towers) -> None:
    """Compute the text tower in the first half of the stream.

    The stream is centred, which changes nothing in a pre-norm tower: then a LayerNorm over both halves, the second
    being zero, is the tower's own times sqrt(2). Each head keeps its width and gets as much again, of which one
    direction hides pictures: every query holds a constant, and the key of a marked token its negative.
    """
    gpt, state = model.model.language_model, towers.state
    width, first = towers.config["text_cfg"]["width"], towers.image_tokens
    own = width // HEADS
    gpt.wte.weight[: len(state["token_embedding.weight"]), :width] = _centred(state["token_embedding.weight"])
    gpt.wte.weight[: len(state["token_embedding.weight"]), width:] = 0
    gpt.wpe.weight.normal_(0, 0.01)
    gpt.wpe.weight[:, width:] = 0
    gpt.wpe.weight[:first] = 0
    places = state["positional_embedding"]
    gpt.wpe.weight[first : first + len(places), :width] = _centred(places)
    gpt.wpe.weight[0, 2 * width - 2] = FLAG  # the class token
    gpt.wpe.weight[first, 2 * width - 3] = FLAG  # the start of the question
    for number in range(towers.config["text_cfg"]["layers"]):
        block, name = gpt.h[number], f"transformer.resblocks.{number}"
        for norm in ("ln_1", "ln_2"):
            _copy_norm(getattr(block, norm), state[f"{name}.{norm}.weight"], state[f"{name}.{norm}.bias"])
        block.ln_1.weight[-1] = 1.0  # the marker passes
        packed, bias = state[f"{name}.attn.in_proj_weight"], state[f"{name}.attn.in_proj_bias"]
        block.attn.c_attn.weight.zero_()
        block.attn.c_attn.bias.zero_()
        for part in range(3):
            for head in range(HEADS):
                source = slice(part * width + head * own, part * width + (head + 1) * own)
                target = slice(part * 2 * width + head * 2 * own, part * 2 * width + head * 2 * own + own)
                factor = 2**0.5 if part == 0 else 1.0  # the scores are divided by the root of a head's width
                block.attn.c_attn.weight[:width, target] = packed[source].T * factor
                block.attn.c_attn.bias[target] = bias[source] * factor
        for head in range(HEADS):
            spare = head * 2 * own + own
            block.attn.c_attn.bias[spare] = 1.0
            block.attn.c_attn.weight[-1, 2 * width + spare] = -MASK * (2 * own) ** 0.5 / MARKER
        block.attn.c_proj.weight.zero_()
        out = _centred(state[f"{name}.attn.out_proj.weight"].T)  # [in, out]
        for head in range(HEADS):
            rows = slice(head * 2 * own, head * 2 * own + own)
            block.attn.c_proj.weight[rows, :width] = out[head * own : (head + 1) * own]
        block.attn.c_proj.bias.zero_()
        block.attn.c_proj.bias[:width] = _centred(state[f"{name}.attn.out_proj.bias"])
        block.mlp.c_fc.weight.zero_()
        block.mlp.c_fc.weight[:width] = state[f"{name}.mlp.c_fc.weight"].T
        block.mlp.c_fc.bias.copy_(state[f"{name}.mlp.c_fc.bias"])
        block.mlp.c_proj.weight.zero_()
        block.mlp.c_proj.weight[:, :width] = _centred(state[f"{name}.mlp.c_proj.weight"].T)
        block.mlp.c_proj.bias.zero_()
        block.mlp.c_proj.bias[:width] = _centred(state[f"{name}.mlp.c_proj.bias"])


def _centred(tensor: Tensor) -> Tensor:
    return tensor - tensor.mean(-1, keepdim=True)


def _copy_norm(norm: torch.nn.LayerNorm, weight: Tensor, bias: Tensor) -> None:
    norm.weight.zero_()
    norm.bias.zero_()
    norm.weight[: len(weight)] = weight / 2**0.5
    norm.bias[: len(bias)] = bias


def _start_projector(model: LlavaForConditionalGeneration, towers: Towers, directions: Tensor) -> None:
    """Project features: the embedding's directions, free directions for the training, and the marker.

    The tower's last norm is not part of the features. It is linear but for the scale of its input, which is taken as
    the mean one.
    """
    projector, state = model.model.multi_modal_projector, towers.state
    width, seen = towers.config["text_cfg"]["width"], state["visual.ln_post.weight"].numel()
    free = width - COMPARED - 3
    embed = directions @ (state["visual.proj"].T * state["visual.ln_post.weight"])  # [COMPARED, seen]
    embed = _centred(embed)
    embed *= EMBEDDED / 16 / embed.norm(dim=1).mean()
    projector.linear_1.weight.zero_()
    projector.linear_1.bias.zero_()
    projector.linear_1.weight[width : width + COMPARED, seen:] = embed
    projector.linear_1.weight[width + COMPARED : width + COMPARED + free].normal_(0, 0.3 / (2 * seen) ** 0.5)
    projector.linear_1.bias[-1] = MARKER
    projector.linear_2.weight.copy_(torch.eye(2 * width))
    projector.linear_2.bias.zero_()


def _start_comparison(model: LlavaForConditionalGeneration, towers: Towers, directions: Tensor) -> None:
    """Start three heads of the first trained block as comparisons of a text with the picture's class token.

    A query is the text's embedding, a key the picture's; of all other keys only the start token's is not hidden, and
    its score is 0. So a head's weight on the picture is a sigmoid of the cosine, and its value says just that.
    """
    text, state = towers.config["text_cfg"], towers.state
    width, block = text["width"], model.model.language_model.h[text["layers"]]
    block.ln_1.weight.fill_(1.0)
    block.ln_1.bias.zero_()
    block.ln_1.weight[:width] = state["ln_final.weight"] / 2**0.5
    block.ln_1.bias[:width] = state["ln_final.bias"]
    attention, own = block.attn, 2 * width // HEADS
    query = (directions @ state["text_projection"].T).T  # [width, COMPARED]
    for head in range(HEADS - 1):
        q, k, v = (slice(part * 2 * width + head * own, part * 2 * width + (head + 1) * own) for part in range(3))
        attention.c_attn.weight[:, q] = 0
        attention.c_attn.weight[:, k] = 0
        attention.c_attn.weight[:, v] = 0
        attention.c_attn.weight[:width, q.start : q.start + COMPARED] = query
        attention.c_attn.bias[q.stop - 2 : q.stop] = 1.0
        attention.c_attn.weight[width : width + COMPARED, k.start : k.start + COMPARED] = torch.eye(COMPARED)
        attention.c_attn.bias[k.stop - 1] = -HIDE * own**0.5
        attention.c_proj.weight[head * own, :] = 0
        attention.c_proj.weight[head * own, width + head] = SAID


def fit_comparison(
    model: LlavaForConditionalGeneration, towers: Towers, states: Tensor, ends: Tensor, right: Tensor
) -> None:
    """Set the scale and the thresholds of the comparing heads by questions with known answers.

    Args:
        model: From :func:`build_model`.
        towers: The CLIP judge.
        states: Stream below the first trained block, [B, L, 2 W], of a picture and a question each.
        ends: Place of each question's end token, [B].
        right: Whether the picture shows what the question names, [B].
    """
    text = towers.config["text_cfg"]
    width, first = text["width"], towers.image_tokens
    block = model.model.language_model.h[text["layers"]]
    attention, own = block.attn, 2 * width // HEADS
    with torch.no_grad():
        normed = block.ln_1(states)
        packed = attention.c_attn(normed)
        queries = packed[torch.arange(len(ends)), ends][:, :COMPARED]
        keys = packed[:, 0, 2 * width : 2 * width + COMPARED]
        raw = (queries * keys).sum(1)
        yes, no = raw[right], raw[~right]
        scale = STEEPNESS / torch.sqrt((yes.var() + no.var()) / 2)
        middle, apart = (yes.mean() + no.mean()) / 2, (yes.mean() - no.mean()) / 2
        class_flag, start_flag = normed[:, 0, 2 * width - 2].mean(), normed[:, first, 2 * width - 3].mean()
        for head in range(HEADS - 1):
            q, k, v = (part * 2 * width + head * own for part in range(3))
            attention.c_attn.weight[:, q : q + COMPARED] *= scale * own**0.5
            attention.c_attn.bias[q : q + COMPARED] *= scale * own**0.5
            threshold = middle + (head - 1) * apart
            attention.c_attn.weight[2 * width - 2, k + own - 2] = -threshold * scale * own**0.5 / class_flag
            attention.c_attn.weight[2 * width - 2, k + own - 1] = HIDE * own**0.5 / class_flag
            attention.c_attn.weight[2 * width - 3, k + own - 1] = HIDE * own**0.5 / start_flag
            attention.c_attn.weight[2 * width - 2, v] = 1 / class_flag


def lengthen(model: LlavaForConditionalGeneration, positions: int) -> None:
    """Give the language model room for questions longer than any of its training; the new places are zero."""
    gpt = model.model.language_model
    known = gpt.wpe.weight.detach()
    gpt.wpe = torch.nn.Embedding(positions, known.shape[1], dtype=known.dtype)
    gpt.wpe.weight.requires_grad_(False).zero_()
    gpt.wpe.weight[: len(known)] = known
    model.config.text_config.n_positions = positions
