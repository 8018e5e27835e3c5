"""What a server does beside answering: requests whose time has come, and webhooks; each in a thread of its own."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from remit.local.webhooks.sending import Sender
from remit.local.webhooks.settings import read_webhooks
from remit.local.wiring import Embedded
from remit.model.errors import RemitError
from remit.runtime.approving.overdue import sweep

EVERY = 5.0
PATIENCE = 15.0
_log = logging.getLogger("remit")


@contextmanager
def sweeping(embedded: Embedded) -> Iterator[None]:
    """While a server runs. No decision waits for any of it. Raises `RemitError` (malformed) for webhooks that cannot be used."""
    stop = threading.Event()
    senders = [Sender(embedded, webhook) for webhook in read_webhooks(embedded.settings, embedded.home)]
    threads = [threading.Thread(target=_sweeping, args=(embedded, stop), name="remit-sweeps", daemon=True)]
    threads += [threading.Thread(target=one.run, args=(stop,), name="remit-webhook", daemon=True) for one in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def _sweeping(embedded: Embedded, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            sweep(embedded.runtime).result()
        except RemitError as error:  # the store is gone for a while: decisions say so, too
            _log.warning("access requests could not be looked through (%s)", error.message)
        stop.wait(EVERY)
