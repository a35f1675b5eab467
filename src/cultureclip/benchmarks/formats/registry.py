"""All formats that a catalog entry can name under ``type``, one line each; a format is imported on its first use."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cultureclip.benchmarks.rows import Format
from cultureclip.settings_base import make_named

FORMATS = {
    "annotations": "annotations:AnnotationsFormat",
    "arrow": "arrow:ArrowFormat",
    "association_bias": "association_bias:AssociationBiasFormat",
    "csv": "csv_table:CsvFormat",
    "cued": "cued:CuedFormat",
    "json_rows": "json_rows:JsonRowsFormat",
    "karpathy": "json_files:KarpathyFormat",
    "parquet": "parquet:ParquetFormat",
    "ravenea": "ravenea:RaveneaFormat",
    "ravenea_task": "ravenea:RaveneaTaskFormat",
    "sugarcrepe": "json_files:SugarCrepeFormat",
    "webdataset": "webdataset:WebDatasetFormat",
}
"""Type -> module in this package and class."""


def parse_format(fields: object) -> Format:
    """Make the format from an entry's fields.

    Raises:
        ValueError: if there is no such type, or one of its fields is wrong.
    """
    made: Format = make_named(fields, Format, FORMATS, __package__)
    return made


AnyFormat = Annotated[SerializeAsAny[Format], BeforeValidator(parse_format)]
