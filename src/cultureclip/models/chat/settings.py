"""Which servers a chat model is asked at, and how."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from cultureclip.models.settings import LanguageModelSettings
from cultureclip.settings_base import Settings


class ServerSettings(Settings):
    """A chat model behind OpenAI-compatible servers.

    Attributes:
        servers: Addresses, most of them ending in ``/v1``; asked in turn.
        model: The model's name there.
        revision: Revision of the weights: a server does not say, and cached answers belong to a revision.
        api_key_env: Name of the environment variable that holds the key; None: the servers need none.
        concurrency: Most requests in flight.
        timeout_s: Longest time of one attempt of a request, in seconds.
        retries: Further tries after a time-out, a lost connection, 408, 409, 429 or 5xx, with back-off and jitter.
        requests_per_minute: Most requests started per minute; None: no limit.
        structured: Whether the servers take ``response_format`` with a JSON schema.
        prices: Cost per million tokens read and written, in any currency; None: not known.
    """

    servers: tuple[Annotated[str, Field(pattern=r"^https?://[^\s@]+$")], ...] = Field(min_length=1)
    model: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    concurrency: int = Field(default=16, ge=1, le=1024)
    timeout_s: float = Field(default=120, gt=0, le=3600)
    retries: int = Field(default=4, ge=0, le=20)
    requests_per_minute: float | None = Field(default=None, gt=0)
    structured: bool = True
    prices: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] | None = None


def _kind(value: Any) -> str:
    found = value.get("servers") if isinstance(value, dict) else getattr(value, "servers", None)
    return "servers" if found else "path"


def _without_what_servers_replace(value: Any) -> Any:
    """Leave out the settings of a model in this process where servers are named.

    A configuration is laid over another key by key, so those of the model that the servers replace are still there.
    """
    if not isinstance(value, dict) or _kind(value) == "path":
        return value
    replaced = LanguageModelSettings.model_fields.keys() - ServerSettings.model_fields.keys()
    return {key: content for key, content in value.items() if key not in replaced}


ChatSettings = Annotated[
    Annotated[LanguageModelSettings, Tag("path")] | Annotated[ServerSettings, Tag("servers")],
    Discriminator(_kind),
    BeforeValidator(_without_what_servers_replace),
]
"""Told apart by their keys: ``servers`` for a model behind servers, ``path`` for one in this process."""
