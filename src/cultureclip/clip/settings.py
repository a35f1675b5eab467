"""Settings of a training, validated and frozen. No torch is imported, so that configuration loads fast."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cultureclip.clip.launch_settings import LaunchSettings
from cultureclip.settings_base import CPU, Device, Settings

Target = Literal["q", "k", "v", "out", "mlp"]
Tower = Literal["image", "text"]


class ObjectiveSettings(Settings):
    """Settings of the loss functions.

    Attributes:
        duplicate_aware: A text that means the same as the right one is never one of its negatives.
        lambda_caption: Weight of the caption term in an objective with both terms.
        lambda_concept: Weight of the concept term.
        multi_positive: A text that means the same as the right one is right too, instead of left out.
        twin_margin_weight: Weight of the twin margin, an extension of this project; 0: none.
        twin_margin: Lead, in cosine, of an image's own text over its twin's from which the twin margin is content.
        hard_negative_weight: Weight of the hard negatives' term, an extension of this project; 0: none.
        as_released: Defects of the release to reproduce, by number: 1, embeddings are not normalised; 4, ``clip`` is a
            zero without gradient; 5, a repeated text is one of its own negatives, as without ``duplicate_aware``.
    """

    duplicate_aware: bool = True
    lambda_caption: Annotated[float, Field(ge=0, le=1)] = 0.7
    lambda_concept: Annotated[float, Field(ge=0, le=1)] = 0.3
    multi_positive: bool = False
    twin_margin_weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
    twin_margin: Annotated[float, Field(ge=0, le=2)] = 0.1
    hard_negative_weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
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


class LoraSettings(Settings):
    """Where low-rank updates sit and how large they are.

    Attributes:
        rank: Inner size r of each update.
        alpha: The update is scaled by alpha / rank.
        dropout: Share of an update's inputs that is set to zero in training.
        targets: Query, key, value, the attention's output, both layers of the MLP.
        towers: Which towers are adapted; the other stays frozen.
        last_blocks: Adapt only so many blocks of each tower, counted from the output; None: all.
        train_temperature: Whether logit_scale learns too.
    """

    rank: Annotated[int, Field(ge=1, le=256)] = 4
    alpha: Annotated[float, Field(gt=0, le=1024)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("q", "v")
    towers: Annotated[tuple[Tower, ...], Field(min_length=1)] = ("image", "text")
    last_blocks: Annotated[int, Field(ge=1)] | None = None
    train_temperature: bool = True

    @property
    def scale(self) -> float:
        """Factor on every update."""
        return self.alpha / self.rank


class AugmentationSettings(Settings):
    """How far a training image may be changed.

    Attributes:
        zoom: Largest change of size, as |ln(factor)|.
        shift: Largest shift, as a share of half the edge.
        colour: Largest relative change of a colour channel's contrast.
        crop_area: Smallest and largest share of the picture that a random resized crop shows; [1, 1]: all of it.
        crop_ratio: Narrowest and widest aspect ratio of the crop, relative to the picture's.
        mirror: Chance that left and right are swapped.
        never_mirrored: Categories and universals whose pictures are never mirrored: text, flags and signs would
            become others.
    """

    zoom: Annotated[float, Field(ge=0, le=1)] = 0.15
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.06
    colour: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    crop_area: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (1.0, 1.0)
    crop_ratio: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (3 / 4, 4 / 3)
    mirror: Annotated[float, Field(ge=0, le=1)] = 0.0
    never_mirrored: tuple[str, ...] = ("Symbol", "flag")

    @classmethod
    def none(cls) -> "AugmentationSettings":
        """Return the settings that leave images unchanged."""
        return cls(zoom=0, shift=0, colour=0, crop_area=(1, 1), mirror=0)

    @property
    def changes_images(self) -> bool:
        """Whether any image may be changed."""
        return bool(self.zoom or self.shift or self.colour or self.mirror) or self.crop_area[0] < 1

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for name in ("crop_area", "crop_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} [{low}, {high}]: the smaller one comes first")
        return self


class TextSettings(Settings):
    """How rows become texts.

    Attributes:
        concept_template: Sentence around a concept's name; ``{concept}`` stands for the name.
        long_caption: Treatment of a text longer than the model's context: refuse the run, or cut and count it.
    """

    concept_template: Annotated[str, Field(pattern=r"\{concept\}")] = "{concept}"
    long_caption: Literal["error", "truncate"] = "error"


class ReplaySettings(Settings):
    """General pairs in every step, on which the tuned model is held to the base's output (distillation).

    Attributes:
        batch: General pairs per step; 0: none.
        weight: Weight of the pairs' loss.
    """

    batch: Annotated[int, Field(ge=0, le=65_536)] = 0
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0


class TrainerSettings(Settings):
    """The optimisation.

    Attributes:
        steps: Optimiser steps in all.
        batch: Twins a step (two images and up to four texts each), over all processes.
        chunk: Twins that a process embeds at once; a batch of more is embedded in chunks, with the same gradient
            (gradient caching); None: all at once.
        lr: Peak learning rate, after a linear warm-up.
        schedule: Decay of the rate from the peak to 0: ``linear`` or along half a ``cosine``.
        warmup_steps: Steps until the peak.
        weight_decay: On the low-rank matrices; not on the temperature.
        max_grad_norm: The gradient is scaled down to this norm.
        precision: ``bf16`` runs the towers in autocast, loss and temperature stay fp32; ``auto`` does so where the
            device computes faster in bf16.
        checkpoint_activations: Compute the blocks' activations again in the backward pass instead of keeping them.
        cache_frozen_blocks: With ``lora.last_blocks``: run the frozen blocks below once for every image and
            text, and keep it in a file (about 150 kB an image on ViT-B/32). Without augmentation, on one process,
            without the other two ways to run blocks.
        compile: Run the towers through ``torch.compile``; needs a C++ compiler.
        eval_every: Steps between dev evaluations; the training state is saved then too.
        select_by: State to keep: the best on dev twins by this figure, or the last.
        patience: Dev evaluations in a row without a better figure that end the training; None: it never stops early.
        anchor: Weight of the pull towards the base model's own similarities (0: none).
        l2_start: Weight of the squared distance of the adapted weights from the base's (0: none).
        max_unreadable_share: More unreadable images than this stop the run.
        tracker: Additional place for the log: ``tensorboard`` (extra ``tracking``), or none.
        device: Device of the training; with several processes on ``cuda``, each takes the device of its local rank.
    """

    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 200
    batch: Annotated[int, Field(ge=2, le=65_536)] = 32
    chunk: Annotated[int, Field(ge=1, le=65_536)] | None = None
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-3
    schedule: Literal["linear", "cosine"] = "linear"
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.1
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    checkpoint_activations: bool = False
    cache_frozen_blocks: bool = False
    compile: bool = False
    eval_every: Annotated[int, Field(ge=1)] = 25
    select_by: Literal["dev_accuracy", "dev_loss", "last"] = "dev_accuracy"
    patience: Annotated[int, Field(ge=1)] | None = None
    anchor: Annotated[float, Field(ge=0, le=1000)] = 0.0
    l2_start: Annotated[float, Field(ge=0, le=1000)] = 0.0
    max_unreadable_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    tracker: Literal["none", "tensorboard"] = "none"
    device: Device = CPU

    @model_validator(mode="after")
    def _patience_has_a_figure(self) -> Self:
        if self.patience is not None and self.select_by == "last":
            raise ValueError("patience needs a figure to wait for: set select_by to dev_accuracy or dev_loss")
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} of {self.steps} steps: the rate would not fall; set fewer, or 0"
            )
        return self


class RunSettings(Settings):
    """Everything that decides the outcome of a training of one objective and seed.

    Attributes:
        as_released: Defects of the published code to reproduce, one by one, or ``all`` of them: 1, embeddings are not
            normalised in the loss; 2, chunks are batches of their own, so that their gradients are averaged and no
            chunk's texts are negatives for another; 3, the temperature is frozen; 4, ``clip`` is a zero without
            gradient; 5, a repeated text is one of its own negatives; 8, an unreadable image becomes zeros; 11, no
            augmentation, no bf16, and no dev evaluation, nor a saved state, before the end.
    """

    objective: ObjectiveSettings = ObjectiveSettings()
    lora: LoraSettings = LoraSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    texts: TextSettings = TextSettings()
    replay: ReplaySettings = ReplaySettings()
    trainer: TrainerSettings = TrainerSettings()
    launch: LaunchSettings = LaunchSettings()
    as_released: tuple[Literal[1, 2, 3, 4, 5, 8, 11], ...] | Literal["all"] = ()

    @model_validator(mode="after")
    def _processes_have_their_share(self) -> Self:
        world, device = self.launch.world, self.trainer.device
        if self.trainer.batch % world:
            raise ValueError(f"trainer.batch {self.trainer.batch} is not a multiple of {world} processes")
        if world > 1 and ":" in device:
            raise ValueError(f"trainer.device {device} is one for {world} processes: write cuda, each takes its own")
        if world > 1 and self.launch.backend == "nccl" and device != "cuda":
            raise ValueError(f"launch.backend nccl needs trainer.device cuda, not {device}")
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        batch, chunk, world = self.trainer.batch, self.trainer.chunk, self.launch.world
        if not all(self.released(number) for number in self.objective.as_released):
            raise ValueError("write as_released beside objective, not in it")
        if self.objective.multi_positive and self.released(5):
            raise ValueError("objective.multi_positive cannot be had with as_released 5: leave out one of them")
        if self.objective.hard_negative_weight and self.released(1):
            raise ValueError("objective.hard_negative_weight compares cosines: leave 1 out of as_released")
        moves = self.lora.last_blocks is None or self.augmentation.changes_images or world > 1
        if self.trainer.cache_frozen_blocks and moves:
            raise ValueError("trainer.cache_frozen_blocks needs lora.last_blocks, no augmentation, and one process")
        if self.trainer.cache_frozen_blocks and (self.trainer.checkpoint_activations or self.trainer.compile):
            raise ValueError(
                "trainer.cache_frozen_blocks runs single blocks: set checkpoint_activations and compile to false"
            )
        if self.released(2) and (chunk is None or batch % chunk or world > 1):
            raise ValueError("as_released 2 needs a trainer.chunk that divides trainer.batch, and one process")
        return self

    def released(self, number: int) -> bool:
        """Tell whether a defect of the release is reproduced."""
        return self.as_released == "all" or number in self.as_released

    def effective(self) -> "RunSettings":
        """Return the settings with the defects written out that other settings can express: 1, 3, 4, 5 and 11."""
        changes: dict[str, Settings] = {}
        of_loss = tuple(number for number in (1, 4, 5) if self.released(number))
        if of_loss:
            changes["objective"] = self.objective.model_copy(update={"as_released": of_loss})
        if self.released(3):
            changes["lora"] = self.lora.model_copy(update={"train_temperature": False})
        if self.released(11):
            late = {"precision": "fp32", "eval_every": self.trainer.steps, "select_by": "last", "patience": None}
            changes["trainer"] = self.trainer.model_copy(update=late)
            changes["augmentation"] = AugmentationSettings.none()
        return self.model_copy(update=changes)
