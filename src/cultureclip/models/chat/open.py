"""Chat models opened by their settings: at servers, or in this process as a text or a vision-language model."""

from cultureclip.models.chat.request import ChatModel
from cultureclip.models.chat.settings import ChatSettings, ServerSettings


def open_chat_model(settings: ChatSettings) -> ChatModel:
    """Open a chat model; weights are read, and servers are asked, at the first question.

    Raises:
        WeightsError: if a directory has no weights, pickled ones, or no config that ``transformers`` reads.
        ConfigurationError: if the servers' key or the ``openai`` package is missing.
    """
    if isinstance(settings, ServerSettings):
        from cultureclip.models.chat.server import ServerChat

        return ServerChat(settings)
    from cultureclip.models.chat.vision import VisionLanguageModel
    from cultureclip.models.chat.vision_weights import is_vision_model
    from cultureclip.models.placement import Placement
    from cultureclip.models.text import load_language_model
    from cultureclip.models.weights.locate import locate
    from cultureclip.models.weights.text_weights import fingerprint_files, list_weight_files

    folder = locate(settings.path)
    if settings.gguf_file is not None or not is_vision_model(folder):
        return load_language_model(settings)
    placement = Placement.of(settings)
    fingerprint = fingerprint_files(list_weight_files(folder, None), placement)
    return VisionLanguageModel(settings.path, folder, fingerprint, placement, settings.batch)
