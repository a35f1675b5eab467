"""Captioning: a language model writes captions of every twin's concepts; strict checks keep what is true."""

from cultureclip.pipelines.captioning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
