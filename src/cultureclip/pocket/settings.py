"""Settings of the shipped models: everything that defines their weights."""

from pydantic import Field

from cultureclip.images.settings import CallSettings
from cultureclip.models.settings import ModelPath
from cultureclip.settings_base import Settings


class AutoencoderSettings(Settings):
    """The generator's autoencoder."""

    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    lr: float = Field(gt=0)
    width: int = Field(ge=8, multiple_of=8)
    latent_channels: int = Field(ge=1)


class GeneratorSettings(Settings):
    """The diffusion transformer."""

    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    lr: float = Field(gt=0)
    width: int = Field(ge=32, multiple_of=32)
    layers: int = Field(ge=1)
    text_width: int = Field(ge=32, multiple_of=32)


class EncoderSettings(Settings):
    """One of the two CLIPs."""

    seed: int = Field(ge=0)
    steps: int = Field(ge=1)
    batch: int = Field(ge=2)
    lr: float = Field(gt=0)
    view_weight: float = Field(ge=0, description="Of the loss between two pictures of one thing")
    width: int = Field(ge=32, multiple_of=32)
    layers: int = Field(ge=1)
    text_width: int = Field(ge=32, multiple_of=32)


class VisionJudgeSettings(Settings):
    """The vision-language judge."""

    seed: int = Field(ge=0)
    steps: int = Field(ge=1)
    batch: int = Field(ge=1, description="Pictures a step, with six questions each")
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    blocks: int = Field(ge=1, description="Blocks of the language model above the judge's text tower")
    drawn: int = Field(ge=1, description="Pictures of each concept that the generator draws for it")


class PocketSettings(Settings):
    """Everything that defines the shipped weights."""

    size: int = Field(ge=16, le=256, multiple_of=8, description="Edge of all pictures in pixels")
    seed: int = Field(ge=0)
    vocabulary: int = Field(ge=600, description="Tokens in the models' own tokenizer")
    context_length: int = Field(ge=8, le=77)
    sentence_encoder: ModelPath
    state: str = Field(description="Folder of resumable training states")
    weights: str = Field(description="Folder that receives the four model directories")
    autoencoder: AutoencoderSettings
    generator: GeneratorSettings
    base_clip: EncoderSettings
    judge: EncoderSettings
    vision_judge: VisionJudgeSettings
    measured_images: int = Field(ge=1, description="Images a concept in the generator's measurement")
    call: CallSettings = Field(description="Arguments of the generator's call when it is measured")
