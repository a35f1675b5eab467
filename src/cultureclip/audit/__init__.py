"""Audit of chat models: what they answer when they are asked survey questions as people of a culture."""
