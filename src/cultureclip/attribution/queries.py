"""The images that are attributed: where each comes from, and what is known to be in it."""

from collections.abc import Sequence

import pandas as pd
import pandera.pandas as pa

from cultureclip.attribution.pictures import EncodedImages
from cultureclip.concepts.regions import region_name
from cultureclip.errors import MissingInputError
from cultureclip.tables import make_table

QUERIES = pa.DataFrameSchema(
    {
        "image_id": pa.Column(str, unique=True),
        "name": pa.Column(str),  # of the file, or of the caption that the image was generated for
        "entity_id": pa.Column(str, nullable=True),  # the concept that was asked for; null: not known
        "cultures": pa.Column(object),  # names of that concept's cultures; empty: not known
    },
    strict=True,
)
"""Table of the images that are attributed."""


def queries_of_generated(
    ids: Sequence[str], requests: pd.DataFrame, captions: pd.DataFrame, concepts: pd.DataFrame
) -> pd.DataFrame:
    """List generated images with the concept that each was asked for.

    Args:
        ids: The images.
        requests: Table IMAGE_REQUESTS.
        captions: Table CAPTIONS.
        concepts: Table CONCEPTS.

    Returns:
        Table QUERIES, in the order of ``ids``.

    Raises:
        MissingInputError: if the tables are of different runs.
    """
    of_image = requests.set_index("image_id")["caption_id"]
    of_caption = captions.drop_duplicates("caption_id").set_index("caption_id")["concept_id"]
    cultures = concepts.set_index("concept_id")["cultures"]
    table = pd.DataFrame({"image_id": pd.Series(list(ids), dtype="str")})
    table["name"] = table["image_id"].map(of_image)
    table["entity_id"] = table["name"].map(of_caption)
    if unknown := int((~table["entity_id"].isin(cultures.index)).sum()):
        cause = f"of different runs: {unknown} of {len(table)} images refer to rows that are not there"
        remedy = "Make them again, in order: kedro run --pipelines=captioning,synthesis"
        raise MissingInputError("captions and images", cause, remedy)
    table["cultures"] = [[region_name(code) for code in cultures[concept]] for concept in table["entity_id"]]
    return table


def queries_of_files(images: EncodedImages, first: int | None) -> pd.DataFrame:
    """List images from files, of which nothing is known.

    Returns:
        Table QUERIES, in the order of the files.
    """
    rows: list[dict[str, object]] = [
        {"image_id": image, "name": images.names[image], "entity_id": None, "cultures": []}
        for image in images.ids[:first]
    ]
    return make_table(rows, QUERIES).astype({"entity_id": "str"})


def no_ratings() -> pd.DataFrame:
    """Return an empty table of people's ratings; see :class:`~cultureclip.attribution.people.RatedSet`."""
    return pd.DataFrame({"image_id": [], "label": [], "rating": [], "people": []})
