"""Update rules and their TF1 optimizers; imports nothing of the other parts."""
