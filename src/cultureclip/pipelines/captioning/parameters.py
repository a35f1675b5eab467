"""Parameters of the captioning stage."""

from cultureclip.captions.settings import CaptionSettings
from cultureclip.concepts.exclusions import Excluding
from cultureclip.models.chat.settings import ChatSettings


class CaptioningParameters(CaptionSettings, Excluding):
    """How captions are asked for and checked, and by which model; see ``parameters_captioning.yml``."""

    language_model: ChatSettings
