"""Where entities and images come from: read from the config when the pipeline is built."""

from dataclasses import dataclass

from cultureclip.pipelines.shape import read_config


@dataclass(frozen=True)
class Sources:
    """Which inputs are files of the user's own.

    Attributes:
        own_entities: Whether the knowledge base is a file, and not the table of concepts.
        own_images: Whether the images are files, and not the generated ones.
    """

    own_entities: bool
    own_images: bool


def read_sources() -> Sources:
    """Return what ``attribution`` of the session's config says.

    Raises:
        ConfigurationError: if there is no config.
    """
    _, parameters = read_config("parameters")
    found = parameters.get("attribution") or {}
    images = found.get("images") or {}
    return Sources(
        own_entities=found.get("knowledge_base") is not None,
        own_images=images.get("folder") is not None or images.get("rated") is not None,
    )
