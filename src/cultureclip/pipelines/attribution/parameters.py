"""Parameters of attribution."""

from cultureclip.attribution.settings import GradeSettings, ImageSettings, LabelSettings, LinkSettings


class AttributionParameters(LinkSettings, GradeSettings, LabelSettings):
    """How images are linked and graded; see ``parameters_attribution.yml``.

    Attributes:
        images: Which images; by default the generated ones.
        knowledge_base: A CSV or Parquet file of entities; None: the table of concepts.
    """

    images: ImageSettings = ImageSettings()
    knowledge_base: str | None = None
