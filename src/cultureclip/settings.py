"""Kedro project settings."""

from typing import Any

from kedro.config import OmegaConfigLoader

from cultureclip.datasets.catalog import ProjectCatalog
from cultureclip.hooks import ProjectHooks

HOOKS = (ProjectHooks(),)
DATA_CATALOG_CLASS = ProjectCatalog
CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment overrides single parameters, at any depth, not whole stages.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {
        "parameters": ["parameters*", "parameters*/**"],
        "catalog": ["catalog*", "catalog*/**"],
        "globals": ["globals*"],
    },
}
