"""Processes that runs are divided over."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however it did.

    A pool's processes finish the task they are at: of a plan that was killed, runs would go on for minutes,
    unseen, and take the processors of the next one.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
