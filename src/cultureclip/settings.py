"""Kedro project settings."""

from kedro.config import OmegaConfigLoader

from cultureclip.datasets.catalog import ProjectCatalog
from cultureclip.hooks import ProjectHooks
from cultureclip.session_config import LOADER_ARGS

HOOKS = (ProjectHooks(),)
DATA_CATALOG_CLASS = ProjectCatalog
CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS = LOADER_ARGS
