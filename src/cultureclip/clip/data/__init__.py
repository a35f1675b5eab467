"""Training data: batches of twins, decoded pixels, augmentation, replay, cached frozen-block activations."""
