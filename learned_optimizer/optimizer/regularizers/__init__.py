"""Measures of gradients and curvature that meta-training can penalise."""
