"""A picture drawn with matplotlib."""

from pathlib import Path

from kedro_datasets.matplotlib import MatplotlibDataset

from cultureclip.datasets.versions import WholeVersions


class FigureDataset(WholeVersions, MatplotlibDataset):
    """Kedro's dataset of one matplotlib figure, with whole versions."""

    def _inspect(self, path: Path) -> None:
        from PIL import Image

        with Image.open(path) as picture:
            picture.load()
