"""All protocols, one line each. A protocol's module has its name and is imported on its first use."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # the catalog checks entries before anything heavy is imported
    from cultureclip.benchmarks.protocols.protocol import Protocol

ProtocolName = Literal[
    "association_bias",
    "blend_vis",
    "confused_tourist",
    "crope",
    "crope_defined",
    "culture_mix",
    "culture_questions",
    "cultureverse",
    "cunit",
    "cvqa",
    "globalrg_grounding",
    "globalrg_retrieval",
    "image_text_retrieval",
    "linear_probe",
    "prevalence_bias",
    "ravenea",
    "ravenea_captions",
    "ravenea_questions",
    "sugarcrepe",
    "winoground",
    "zero_shot",
]

RENAMED: dict[str, ProtocolName] = {
    "culturally_closer": "cunit",
    "pairs": "sugarcrepe",
    "ranked_documents": "ravenea",
    "twin_scores": "winoground",
}
"""Names in earlier versions -> current names."""


def load_protocol(name: ProtocolName) -> "Protocol":
    """Import a protocol."""
    protocol: Protocol = import_module(f"{__package__}.{name}").PROTOCOL
    return protocol


@cache
def all_protocols() -> "dict[ProtocolName, Protocol]":
    """Import all protocols, by name."""
    return {name: load_protocol(name) for name in get_args(ProtocolName)}
