"""CultureCLIP: teach CLIP to tell look-alikes of different cultures apart.

The names below are the library's public interface, documented with examples in docs/library.md. Each is imported at its
first use, so ``import cultureclip`` loads neither torch nor Kedro.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cultureclip.benchmarks.protocols.choice import answer_questions
    from cultureclip.benchmarks.protocols.globalrg_grounding import ask_grounding
    from cultureclip.benchmarks.protocols.globalrg_retrieval import ask_retrieval
    from cultureclip.benchmarks.protocols.items import Shown
    from cultureclip.benchmarks.protocols.recall import rank
    from cultureclip.clip.export.checkpoint import save_adapted
    from cultureclip.clip.export.huggingface import from_huggingface, to_huggingface
    from cultureclip.clip.export.peft_format import from_peft, to_peft
    from cultureclip.clip.lora.adapter import LoraAdapter
    from cultureclip.clip.lora.merging import merge
    from cultureclip.clip.objectives.contrast import TwinEmbeddings
    from cultureclip.clip.objectives.losses import OBJECTIVES, build_objective
    from cultureclip.clip.settings import LoraSettings, ObjectiveSettings
    from cultureclip.clip.training.distributed import Group
    from cultureclip.clip.training.grad_cache import Encoding, backward_in_chunks
    from cultureclip.concepts.neighbours import culture_matrix, nearest_of_other_cultures
    from cultureclip.concepts.settings import SearchSettings
    from cultureclip.images.records import encode_image
    from cultureclip.images.store import ShardStore
    from cultureclip.models.encoder import ImageTextEncoder, load_encoder
    from cultureclip.scoring.significance import correct_holm, mcnemar_test
    from cultureclip.statistics import ClusteredItems

_PLACES = {
    "models.encoder": ("ImageTextEncoder", "load_encoder"),
    "clip.settings": ("LoraSettings", "ObjectiveSettings"),
    "clip.lora.adapter": ("LoraAdapter",),
    "clip.lora.merging": ("merge",),
    "clip.objectives.contrast": ("TwinEmbeddings",),
    "clip.objectives.losses": ("OBJECTIVES", "build_objective"),
    "clip.training.distributed": ("Group",),
    "clip.training.grad_cache": ("Encoding", "backward_in_chunks"),
    "clip.export.checkpoint": ("save_adapted",),
    "clip.export.huggingface": ("from_huggingface", "to_huggingface"),
    "clip.export.peft_format": ("from_peft", "to_peft"),
    "benchmarks.protocols.choice": ("answer_questions",),
    "benchmarks.protocols.items": ("Shown",),
    "benchmarks.protocols.globalrg_grounding": ("ask_grounding",),
    "benchmarks.protocols.globalrg_retrieval": ("ask_retrieval",),
    "benchmarks.protocols.recall": ("rank",),
    "statistics": ("ClusteredItems",),
    "scoring.significance": ("correct_holm", "mcnemar_test"),
    "concepts.neighbours": ("culture_matrix", "nearest_of_other_cultures"),
    "concepts.settings": ("SearchSettings",),
    "images.records": ("encode_image",),
    "images.store": ("ShardStore",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

PROVISIONAL = frozenset({"SearchSettings", "ShardStore", "culture_matrix", "encode_image", "nearest_of_other_cultures"})
"""Public names whose signatures may still change."""

__all__ = [
    "OBJECTIVES",
    "PROVISIONAL",
    "ClusteredItems",
    "Encoding",
    "Group",
    "ImageTextEncoder",
    "LoraAdapter",
    "LoraSettings",
    "ObjectiveSettings",
    "SearchSettings",
    "ShardStore",
    "Shown",
    "TwinEmbeddings",
    "answer_questions",
    "ask_grounding",
    "ask_retrieval",
    "backward_in_chunks",
    "build_objective",
    "correct_holm",
    "culture_matrix",
    "encode_image",
    "from_huggingface",
    "from_peft",
    "load_encoder",
    "mcnemar_test",
    "merge",
    "nearest_of_other_cultures",
    "rank",
    "save_adapted",
    "to_huggingface",
    "to_peft",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_MODULE_OF])
