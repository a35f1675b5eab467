"""Pocket's vision-language judge: a small Llava over the judge's own towers, trained to rate damaged pictures."""
