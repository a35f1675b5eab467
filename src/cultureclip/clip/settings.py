"""What a training is made of, as validated, frozen values; no torch in here, so that configuration loads fast."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Target = Literal["q", "k", "v", "out", "mlp"]
Tower = Literal["image", "text"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectiveSettings(_Settings):
    """What the loss functions can be told.

    Attributes:
        duplicate_aware: A text that means the same as the right one is never one of its negatives.
        lambda_caption: Weight of the caption term where an objective has both terms.
        lambda_concept: Weight of the concept term.
        multi_positive: A text that means the same as the right one is right too, instead of left out.
        twin_margin_weight: Of the twin margin, an extension of this project; 0: none.
        twin_margin: Lead, in cosine, of an image's own text over its twin's from which the twin margin is content.
        as_released: Defects of the release to reproduce, by number: 1, embeddings are not normalised; 4, ``clip`` is a
            zero without gradient; 5, a repeated text is one of its own negatives, as without ``duplicate_aware``.
    """

    duplicate_aware: bool = True
    lambda_caption: Annotated[float, Field(ge=0, le=1)] = 0.7
    lambda_concept: Annotated[float, Field(ge=0, le=1)] = 0.3
    multi_positive: bool = False
    twin_margin_weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
    twin_margin: Annotated[float, Field(ge=0, le=2)] = 0.1
    as_released: tuple[Literal[1, 4, 5], ...] = ()

    @property
    def knows_duplicates(self) -> bool:
        """Whether texts of the same meaning are told from negatives."""
        return self.duplicate_aware and 5 not in self.as_released

    @model_validator(mode="after")
    def _multi_positive_knows_duplicates(self) -> Self:
        if self.multi_positive and not self.knows_duplicates:
            raise ValueError("multi_positive needs duplicate_aware, and no 5 in as_released")
        return self


class LoraSettings(_Settings):
    """Where low-rank updates sit and how large they are.

    Attributes:
        rank: Inner size r of each update.
        alpha: The update is scaled by alpha / rank.
        dropout: Share of an update's inputs that is set to zero in training.
        targets: Query, key, value (of the packed projection), the attention's output, both layers of the MLP.
        towers: Which towers are adapted; the other stays frozen.
        train_temperature: Whether logit_scale learns too.
    """

    rank: Annotated[int, Field(ge=1, le=256)] = 4
    alpha: Annotated[float, Field(gt=0, le=1024)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("q", "v")
    towers: Annotated[tuple[Tower, ...], Field(min_length=1)] = ("image", "text")
    train_temperature: bool = True

    @property
    def scale(self) -> float:
        """Factor on every update."""
        return self.alpha / self.rank


class AugmentationSettings(_Settings):
    """How far a training image may be changed; never mirrored, because flags and scripts would become others.

    Attributes:
        zoom: Largest change of size, as |ln(factor)|.
        shift: Largest shift, as a share of half the edge.
        colour: Largest relative change of a colour channel's contrast.
    """

    zoom: Annotated[float, Field(ge=0, le=1)] = 0.15
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.06
    colour: Annotated[float, Field(ge=0, le=0.5)] = 0.1


class TextSettings(_Settings):
    """How rows become texts.

    Attributes:
        concept_template: Sentence around a concept's name; ``{concept}`` stands for the name.
        long_caption: What to do with a text longer than the model's context: refuse the run, or cut and count it.
    """

    concept_template: Annotated[str, Field(pattern=r"\{concept\}")] = "{concept}"
    long_caption: Literal["error", "truncate"] = "error"


class ReplaySettings(_Settings):
    """General pairs in every step, on which the tuned model is held to what the base says (distillation).

    Attributes:
        batch: General pairs a step; 0: none.
        weight: Of their loss.
    """

    batch: Annotated[int, Field(ge=0, le=65_536)] = 0
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0


class TrainerSettings(_Settings):
    """The optimisation.

    Attributes:
        steps: Optimiser steps in all.
        batch: Twins a step (two images and up to four texts each).
        lr: Peak learning rate; linear warm-up, then linear decay to 0.
        warmup_steps: Steps until the peak.
        weight_decay: On the low-rank matrices; not on the temperature.
        max_grad_norm: The gradient is scaled down to this norm.
        precision: ``bf16`` runs the towers in autocast, loss and temperature stay fp32; ``auto`` does so where the
            device multiplies bf16 natively.
        eval_every: Steps between looks at the dev twins; the training state is saved then too.
        select_by: Which state is kept: the best on dev twins by this figure, or the last.
        anchor: Weight of the pull towards the base model's own similarities (0: none).
        max_unreadable_share: More unreadable images than this stop the run.
        device: Where to train.
    """

    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 200
    batch: Annotated[int, Field(ge=2, le=65_536)] = 32
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.1
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    eval_every: Annotated[int, Field(ge=1)] = 25
    select_by: Literal["dev_accuracy", "dev_loss", "last"] = "dev_accuracy"
    anchor: Annotated[float, Field(ge=0, le=1000)] = 0.0
    max_unreadable_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    device: str = "cpu"


class RunSettings(_Settings):
    """Everything that decides what a training of one objective and seed comes out as."""

    objective: ObjectiveSettings = ObjectiveSettings()
    lora: LoraSettings = LoraSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    texts: TextSettings = TextSettings()
    replay: ReplaySettings = ReplaySettings()
    trainer: TrainerSettings = TrainerSettings()
