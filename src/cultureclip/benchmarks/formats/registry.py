"""All formats that a catalog entry can name; ``type`` says which one."""

from typing import Annotated

from pydantic import Field

from cultureclip.benchmarks.formats.annotations import AnnotationsFormat
from cultureclip.benchmarks.formats.csv_table import CsvFormat
from cultureclip.benchmarks.formats.hugging_face import ArrowFormat, ParquetFormat
from cultureclip.benchmarks.formats.json_files import KarpathyFormat, SugarCrepeFormat
from cultureclip.benchmarks.formats.ravenea import RaveneaFormat
from cultureclip.benchmarks.formats.webdataset import WebDatasetFormat

AnyFormat = Annotated[
    AnnotationsFormat
    | ArrowFormat
    | CsvFormat
    | KarpathyFormat
    | ParquetFormat
    | RaveneaFormat
    | SugarCrepeFormat
    | WebDatasetFormat,
    Field(discriminator="type"),
]
