"""Kedro project settings."""

from kedro.config import OmegaConfigLoader

from cultureclip.datasets.catalog import ProjectCatalog
from cultureclip.engine.threads import wait_asleep
from cultureclip.hooks import ProjectHooks
from cultureclip.session_config import LOADER_ARGS
from cultureclip.tracking import TrackingHooks

wait_asleep()  # every run reads this file first, and nothing above imports torch

HOOKS = (ProjectHooks(), TrackingHooks())
DATA_CATALOG_CLASS = ProjectCatalog
CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS = LOADER_ARGS
