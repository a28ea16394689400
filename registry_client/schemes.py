"""https or http: which one a host speaks, where its settings leave that open."""

import threading

from layerstore.errors import Unreachable
from registry_client.exchange import Exchange
from registry_client.hosts import Host
from registry_client.messages import Request
from registry_client.origin import Origin
from registry_client.retry import IMPATIENT
from registry_client.scope import Access


class Schemes:
    """Remembers for all threads what each host was found to speak."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._lock = threading.Lock()
        self._settled: dict[tuple[str, tuple[str, ...]], Origin] = {}

    def origin(self, host: Host) -> Origin:
        """Where `host` is reached. Raises `Unreachable` where it answers in no scheme."""
        candidates = [Origin.of(f"{scheme}://{host.authority}") for scheme in host.schemes]
        if len(candidates) == 1:
            return candidates[0]
        key = (host.authority, host.schemes)
        with self._lock:
            settled = self._settled.get(key)
        if settled is None:
            settled = self._probe(candidates)
            with self._lock:
                self._settled[key] = settled
        return settled

    def _probe(self, candidates: list[Origin]) -> Origin:
        backoff = self._exchange.pace.backoff()
        while True:
            failures: list[Unreachable] = []
            for origin in candidates:
                try:
                    self._answers(origin)
                except Unreachable as error:
                    failures.append(error)
                else:
                    return origin
            # Certificates have remedies, which would be lost with an answer in another scheme.
            telling = next((each for each in failures if each.hint is not None), failures[-1])
            if not telling.is_temporary or not self._exchange.wait(backoff, telling.message):
                raise telling

    def _answers(self, origin: Origin) -> None:
        """Any answer shows the scheme. To nowhere home: a probe shows no credentials."""
        request = Request("GET", f"{origin}/v2/")
        self._exchange.send(request, Access(origin.authority), None, policy=IMPATIENT).close()
