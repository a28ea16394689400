"""One request brought to its answer: authenticated around retried around redirected around carried."""

from collections.abc import Callable

from layerstore.errors import RegistryError, Unreachable
from layerstore.progress import Progress
from registry_client.auth import Flow, authenticate
from registry_client.authority import Authority
from registry_client.messages import Request, Response, Transport, Upload
from registry_client.origin import Origin
from registry_client.redirect import MAX_REDIRECTS, follow, is_redirect
from registry_client.retry import IMPATIENT, TEMPORARY, Backoff, Pace, RetryPolicy, retry_after
from registry_client.scope import Access


class Exchange:
    """Brings requests to their answers, from any number of threads."""

    def __init__(self, transport: Transport, authority: Authority, pace: Pace, progress: Progress) -> None:
        self._transport = transport
        self._authority = authority
        self.pace = pace
        self._progress = progress

    def send(
        self, request: Request, access: Access, home: Origin | None, *, policy: RetryPolicy | None = None
    ) -> Response:
        """The final answer, whatever its status; the caller closes it.

        Only at `home` credentials are shown; a URL that the server made up and that leads elsewhere is
        asked bare, as is everything where `home` is None. Raises `Unreachable` once patience ends,
        `Unauthorized`, `RegistryError`.
        """

        def patiently(each: Request) -> Response:
            return self._patiently(each, self.pace.backoff(IMPATIENT if _is_stream(each) else policy))

        if Origin.of(request.url) != home:
            return patiently(request)
        return drive(authenticate(request, access, self._authority), patiently)

    def wait(self, backoff: Backoff, reason: str, *, asked: float | None = None) -> bool:
        """Sleep before another try and say why; False where `backoff` gives up."""
        delay = backoff.next(asked)
        if delay is None:
            return False
        self._progress.note(f"{reason}; trying again in {delay:.1f} s")
        self.pace.sleep(delay)
        return True

    def _patiently(self, request: Request, backoff: Backoff) -> Response:
        host = Origin.of(request.url).authority
        while True:
            try:
                response = self._follow(request)
            except Unreachable as error:
                if not error.is_temporary or not self.wait(backoff, error.message):
                    raise
                continue
            if response.status not in TEMPORARY:
                return response
            asked = retry_after(response.headers.get("retry-after"), self.pace.now())
            if not self.wait(backoff, f"{host} answered {response.status}", asked=asked):
                return response
            response.close()

    def _follow(self, request: Request) -> Response:
        response = self._transport.send(request)
        for _ in range(MAX_REDIRECTS):
            if not is_redirect(response):
                return response
            response.close()
            request = follow(request, response)
            response = self._transport.send(request)
        response.close()
        raise RegistryError(f"{Origin.of(request.url).authority} redirects more than {MAX_REDIRECTS} times")


def drive(flow: Flow, send: Callable[[Request], Response]) -> Response:
    """Run `flow` with `send`; the response to its last request."""
    request = next(flow)
    while True:
        response = send(request)
        try:
            request = flow.send(response)
        except StopIteration:
            return response
        except BaseException:
            response.close()
            raise
        response.close()


def _is_stream(request: Request) -> bool:
    return isinstance(request.body, Upload)
