"""Datasets that leave the project, in the forms that others read."""
