"""A chart that kedro-viz shows."""

from kedro_datasets import plotly as kedro_plotly

from cultureclip.datasets.json_dataset import WholeJSON


class PlotlyDataset(WholeJSON, kedro_plotly.JSONDataset):
    """Kedro's dataset of a plotly figure with whole versions."""
