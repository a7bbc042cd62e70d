"""REST: the few requests of a session, bounded in size and time.

Responsible for one GET at a time, in a thread of its own. Refuses to follow redirects, to retry,
and to decode: the exact body is what is recorded.
"""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.parse import urlsplit

from recorder.live.dial import is_loopback

BODY_BYTES_MAX = 32 * 1024 * 1024
TIMEOUT_SECONDS = 10.0
WHOLE_SECONDS = 60.0


class RestFailure(Exception):
    """A GET did not bring a body.

    Attributes:
        status: the HTTP status, None where there was no answer.
        reason: one phrase.
    """

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Follow nothing: what a redirect brings is not what was asked for."""


async def fetch(
    url: str,
    *,
    demo_trading: bool = False,
    timeout: float = TIMEOUT_SECONDS,
    whole: float = WHOLE_SECONDS,
    limit: int = BODY_BYTES_MAX,
) -> bytes:
    """Return the exact body of a GET.

    Args:
        url: `http://` or `https://`; a proxy of the environment is used, but not for loopback.
        demo_trading: send `x-simulated-trading: 1` (OKX API docs, "Demo trading services").
        timeout: seconds of silence; whole: seconds for all of it; limit: bytes.

    Raises:
        RestFailure: no answer, a status other than 200, a body above the limit.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    def settle(body: bytes | None, failure: RestFailure | None) -> None:
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(body or b"")

    def work() -> None:
        body, failure = None, None
        try:
            body = _get(url, demo_trading=demo_trading, timeout=timeout, limit=limit)
        except RestFailure as error:
            failure = error
        except Exception as error:  # noqa: BLE001  # whoever waits must not wait for ever
            failure = RestFailure(None, f"{type(error).__name__}: {error}")
        try:
            loop.call_soon_threadsafe(settle, body, failure)
        except RuntimeError:
            return  # the loop has ended: nobody waits any more

    # A daemon thread: the end of a recording never waits for a slow REST server.
    threading.Thread(target=work, name="rest", daemon=True).start()
    try:
        async with asyncio.timeout(whole):
            return await answer
    except TimeoutError:
        raise RestFailure(None, f"no whole body within {whole:g} s") from None


def _get(url: str, *, demo_trading: bool, timeout: float, limit: int) -> bytes:
    headers = {"User-Agent": "okx-recorder", "Accept": "application/json"}
    if demo_trading:
        headers["x-simulated-trading"] = "1"
    proxies: dict[str, str] | None = {} if is_loopback(urlsplit(url).hostname or "") else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirect())
    request = urllib.request.Request(url, headers=headers)  # http(s) by construction
    try:
        with opener.open(request, timeout=timeout) as response:
            body: bytes = response.read(limit + 1)
            status: int = response.status
            # `read(n)` gives what came and does not say that the connection broke before the end.
            missing: int = response.length or 0
    except urllib.error.HTTPError as error:
        with error:
            raise RestFailure(error.code, f"HTTP {error.code} {error.reason}".strip()) from None
    except urllib.error.URLError as error:
        reason = error.reason
        words = getattr(reason, "strerror", None) or str(reason)
        raise RestFailure(None, words) from None
    except TimeoutError:
        raise RestFailure(None, f"no answer within {timeout:g} s") from None
    except (OSError, HTTPException, ValueError) as error:
        raise RestFailure(None, str(error) or type(error).__name__) from None
    if status != 200:
        raise RestFailure(status, f"HTTP {status}")
    if len(body) > limit:
        raise RestFailure(status, f"a body of more than {limit} bytes")
    if missing:
        raise RestFailure(None, f"connection lost with {missing} bytes of the body missing")
    return body
