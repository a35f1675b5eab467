"""Training of pocket's vision-language judge: cross-entropy over the answers to questions with known truth."""

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from cultureclip.engine.progress import progress_bar
from cultureclip.models.weights.checkpoint import load_training_state, save_training_state
from cultureclip.pocket.pictures import augment, to_float
from cultureclip.pocket.settings import VisionJudgeSettings
from cultureclip.pocket.vision_judge.damage import TRAINED, damage
from cultureclip.pocket.vision_judge.questions import Questions, draw_damage, word_question
from cultureclip.pocket.vision_judge.truth import Truth, answer_parts

SAVE_EVERY = 200
_IGNORED = -100


def train_vision_judge(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    questions: Questions,
    trained_from: int,
    settings: VisionJudgeSettings,
    checkpoint: Path,
) -> None:
    """Train the blocks from ``trained_from`` on, the last norm and the head; everything below stays as it is.

    Args:
        model: From :func:`cultureclip.pocket.vision_judge.model.build_model`, with its comparison fitted.
        tokenizer: Its own.
        questions: What is shown and asked.
        trained_from: First block of the language model to train.
        settings: Optimisation.
        checkpoint: Training state; a run that was cut off goes on from it.
    """
    learner = Learner(model, trained_from)
    optimizer = torch.optim.AdamW(learner.groups(settings.weight_decay), lr=settings.lr, betas=(0.9, 0.98))
    start = load_training_state(checkpoint, learner, optimizer)
    model.train()
    bar = progress_bar(range(start, settings.steps), desc=checkpoint.stem, initial=start, total=settings.steps)
    for step in bar:
        pictures, tokens, labels = draw_batch(questions, tokenizer, settings, step)
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * min(1.0, (step + 1) / 100) * max(0.01, 1.0 - step / settings.steps)
        logits = learner(pictures, tokens, labels != _IGNORED)
        loss = F.cross_entropy(logits, labels[labels != _IGNORED])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == settings.steps:
            save_training_state(checkpoint, learner, optimizer, step + 1)
    model.eval()


class Learner(torch.nn.Module):
    """The trained part of the model as parameters, and the whole model as a function.

    Args:
        model: The judge.
        trained_from: First block to train.
    """

    def __init__(self, model: LlavaForConditionalGeneration, trained_from: int) -> None:
        super().__init__()
        model.requires_grad_(False)
        language = model.model.language_model
        self.blocks = torch.nn.ModuleList(language.h[trained_from:])
        self.norm, self.head = language.ln_f, model.lm_head
        for part in (self.blocks, self.norm, self.head):
            part.requires_grad_(True)
        self._model = [model]  # not a submodule: what is frozen is not part of the training state

    def groups(self, weight_decay: float) -> list[dict[str, object]]:
        """Return parameter groups: matrices decay, norms and biases do not."""
        matrices = [p for p in self.parameters() if p.ndim > 1]
        rest = [p for p in self.parameters() if p.ndim <= 1]
        return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]

    def forward(self, pictures: Tensor, tokens: Tensor, answered: Tensor) -> Tensor:
        """Return logits [number of answered places, V] for pictures [N, 3, H, W] and tokens [N Q, L].

        A picture comes before its questions and does not see them, so its keys and values are computed once. Texts are
        padded on the right, where a causal model does not see the padding.
        """
        (model,) = self._model
        language, head = model.model.language_model, model.lm_head
        shown = torch.stack(tuple(model.model.get_image_features(pictures).pooler_output))
        kept = language(inputs_embeds=shown, use_cache=True).past_key_values
        kept.batch_repeat_interleave(len(tokens) // len(pictures))
        hidden = language(inputs_embeds=language.wte(tokens), past_key_values=kept, use_cache=True).last_hidden_state
        logits: Tensor = head(hidden[answered])
        return logits


def draw_batch(
    questions: Questions, tokenizer: PreTrainedTokenizerBase, settings: VisionJudgeSettings, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a step's pictures, and six questions with answers about each.

    Returns:
        Pictures float [N, 3, H, W]; tokens int64 [6 N, L]; labels int64 [6 N, L]: the next token of an answer, or -100.
    """
    draw = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    rng = random.Random(settings.seed * 1_000_003 + step)
    shown = [questions.draw_shown(rng) for _ in range(settings.batch)]
    pictures = torch.stack([rng.choice(questions.things[i].pictures) for i in shown])
    pixels = augment(to_float(pictures), draw, zoom=0.2, shift=0.08, degrees=10, colour=0.15)
    damages = [draw_damage(tuple(TRAINED), rng) for _ in shown]
    pixels = torch.stack(
        [p if name is None else damage(p, name, grade, draw) for p, (name, grade) in zip(pixels, damages, strict=True)]
    )
    asked = [(i, j, d) for i, d in zip(shown, damages, strict=True) for j in questions.draw_asked(i, rng)]
    texts, truths = [], []
    for i, j, (name, grade) in asked:
        sound = questions.truth(i, j)
        texts.append(word_question(questions.things[j], rng))
        truths.append(Truth(sound.relation, sound.origin, name, grade))
    return pixels, *encode(texts, truths, tokenizer)


def encode(texts: list[str], truths: list[Truth], tokenizer: PreTrainedTokenizerBase) -> tuple[Tensor, Tensor]:
    """Return tokens [B, L] of questions with answers, and labels [B, L]: what follows a token of an answer, or -100."""
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    asked = [[start, *ids, end] for ids in tokenizer(texts, add_special_tokens=False).input_ids]
    written = tokenizer(["".join(answer_parts(truth)) for truth in truths], add_special_tokens=False).input_ids
    rows = [(q, [*q, *a], [*a, end]) for q, a in zip(asked, written, strict=True)]
    length = max(len(tokens) for _, tokens, _ in rows)
    tokens = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full((len(rows), length), _IGNORED)
    for i, (question, whole, answer) in enumerate(rows):
        tokens[i, : len(whole)] = torch.tensor(whole)
        labels[i, len(question) - 1 : len(question) - 1 + len(answer)] = torch.tensor(answer)
    return tokens, labels
