"""All objectives, one line each: name in the config, title in the report.

The module of an objective has its name and is imported when the objective is used, so that configuration loads without
torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

if TYPE_CHECKING:
    from cultureclip.clip.objectives.objective import Objective

OBJECTIVE_TITLES: dict[str, str] = {
    "clip": "CLIP, positive sides",
    "clip_both": "Plain contrastive tuning",
    "negclip": "NegCLIP",
    "tripletclip": "TripletCLIP",
    "cultureclip": "CultureCLIP",
    "clip_concept": "CLIP on concepts",
    "negclip_concept": "NegCLIP on concepts",
    "clip_caption_clip_concept": "CLIP on captions and concepts",
    "neg_caption_clip_concept": "NegCLIP on captions, CLIP on concepts",
    "clip_caption_neg_concept": "CLIP on captions, NegCLIP on concepts",
    "conclip": "CoN-CLIP",
}


def _check_name(name: str) -> str:
    if name not in OBJECTIVE_TITLES:
        raise ValueError(f"no objective {name!r}; there are {', '.join(OBJECTIVE_TITLES)}")
    return name


ObjectiveName = Annotated[str, AfterValidator(_check_name)]
"""Name of an objective of :data:`OBJECTIVE_TITLES`."""


def load_objective(name: str) -> "type[Objective]":
    """Import an objective's class.

    Args:
        name: One of :data:`OBJECTIVE_TITLES`.
    """
    objective: type[Objective] = import_module(f"{__package__}.{name}").OBJECTIVE
    return objective
