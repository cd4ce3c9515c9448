"""Ctrl-C and SIGTERM as a request to stop at the next good moment."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
  """Whether somebody asked the process to stop.

  Attributes:
    signal: number of the signal that asked, or None.
  """

  def __init__(self):
    self.signal: int | None = None

  def _listen(self, receiver: socket.socket):
    # One byte per signal, as it arrives; nothing when the other end is closed.
    while received := receiver.recv(1):
      number = received[0]
      if number not in _SIGNALS:
        continue
      if self.signal is not None:  # Asked twice: stop at once.
        os._exit(128 + number)
      self.signal = number


@contextlib.contextmanager
def watch() -> Iterator[Interruption]:
  """Turns SIGINT and SIGTERM into requests while the context lasts.

  The second of them ends the process with status 128 + its number. Outside of
  the main thread, where signals cannot be redirected, nothing is watched.
  """
  interruption = Interruption()
  if threading.current_thread() is not threading.main_thread():
    yield interruption
    return
  # Handlers written in Python wait until TensorFlow returns, which may take
  # minutes. What the interpreter writes to this socket arrives at once.
  receiver, sender = socket.socketpair()
  sender.setblocking(False)
  listener = threading.Thread(
    target=interruption._listen, args=[receiver], daemon=True
  )
  listener.start()
  previous_socket = signal.set_wakeup_fd(
    sender.fileno(), warn_on_full_buffer=False
  )
  previous = [signal.signal(n, lambda *_: None) for n in _SIGNALS]
  try:
    yield interruption
  finally:
    for number, handler in zip(_SIGNALS, previous, strict=True):
      signal.signal(number, handler)
    signal.set_wakeup_fd(previous_socket)
    sender.close()
    listener.join()
    receiver.close()
