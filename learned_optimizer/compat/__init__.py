"""Keras optimizers over the update rules."""
