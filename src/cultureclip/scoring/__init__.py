"""Scores of models: statistics, significance, groups, confusions and abilities."""
