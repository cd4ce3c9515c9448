"""Errors that a user of the programs can mend."""


class RunError(Exception):
  """A run cannot start or go on; the message is one sentence for the user."""
