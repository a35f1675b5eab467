"""All formats of rows that a catalog entry can name under ``type``, one line each."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cultureclip.exchange.formats.row_format import RowFormat
from cultureclip.settings_base import make_named

FORMATS = {
    "csv": "csv_pairs:CsvPairsFormat",
    "cultureclip": "cultureclip:CultureClipFormat",
    "open_clip_csv": "open_clip_csv:OpenClipCsvFormat",
    "open_clip_webdataset": "open_clip_webdataset:OpenClipWebDatasetFormat",
    "released": "released:ReleasedFormat",
    "sugarcrepe": "sugarcrepe:SugarCrepePairs",
    "tripletclip": "tripletclip:TripletClipFormat",
}
"""Type -> module in this package and class."""


def parse_format(fields: object) -> RowFormat:
    """Make the format from an entry's fields.

    Raises:
        ValueError: if there is no such type, or one of its fields is wrong.
    """
    made: RowFormat = make_named(fields, RowFormat, FORMATS, __package__)
    return made


AnyRowFormat = Annotated[SerializeAsAny[RowFormat], BeforeValidator(parse_format)]
"""A format with its settings."""
