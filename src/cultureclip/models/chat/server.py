"""Chat models behind OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, ``transformers serve``.

The ``openai`` client handles HTTP, timeouts, and retries with back-off, jitter and ``Retry-After``.
This module adds several servers in turn, a bounded number of requests in flight, a limit of requests per minute, and a
strict reading of replies. ``timeout_s`` bounds each wait for bytes: a server that sends a byte now and then is
not cut off by it.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from cultureclip.errors import ConfigurationError, ServerError
from cultureclip.ids import digest
from cultureclip.models.chat.request import Answer, Finish, Picture, Prices, Request
from cultureclip.models.chat.settings import ServerSettings

if TYPE_CHECKING:
    from openai import OpenAI

logger = logging.getLogger(__name__)

_FINISHES: Mapping[str, Finish] = {"stop": "stop", "eos": "stop", "length": "length", "content_filter": "refused"}
_LOCAL_KEY = "none"
"""Servers on one's own machine ask for no key, and the client does not start without one."""
CHARACTERS_PER_TOKEN = 16
"""An answer of more characters than this per allowed token does not keep to the limit, and is cut off here."""
SHOWN_MESSAGE = 200
_WINDOW = 64


class ServerChat:
    """A chat model at one or several servers.

    Args:
        settings: Addresses of the servers and settings of the requests.

    Raises:
        ConfigurationError: if the ``openai`` package or the key's environment variable is missing.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._pace = _Pace(settings.requests_per_minute)
        self._turn = 0
        self._lock = threading.Lock()
        self._down: dict[str, float] = {}
        _ = self._clients  # a missing package or key is reported before any work

    @property
    def name(self) -> str:
        """The model's name at the servers."""
        return self._settings.model

    @property
    def fingerprint(self) -> str:
        """Name and revision: a server does not show its weights, so the config must say which they are."""
        return digest("served model", self._settings.model, self._settings.revision)

    @property
    def window(self) -> int:
        """How many requests are asked before the next ones begin: many times those in flight, which wait at its end."""
        return _WINDOW * self._settings.concurrency

    @property
    def prices(self) -> Prices | None:
        """Prices per million tokens read and written, if they are configured."""
        return self._settings.prices

    def load(self) -> None:
        """Do nothing, because the servers hold the weights."""

    def stream(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Answer]]]:
        """Answer requests with at most ``concurrency`` in flight.

        Yields:
            One (place, answer) at a time, as answers arrive.

        Raises:
            ServerError: if a request fails at every server, or a server refuses the key, the model or the request. The
                answers that were in flight are yielded first.
        """
        numbered = enumerate(requests)
        with ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="chat") as pool:
            flying: dict[Future[Answer], int] = {}
            failure: Exception | None = None
            while True:
                if failure is None:
                    for place, request in islice(numbered, self._settings.concurrency - len(flying)):
                        flying[pool.submit(self._answer, request)] = place
                if not flying:
                    break
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    place = flying.pop(future)
                    error = future.exception()
                    if error is None:
                        yield [(place, future.result())]
                    elif not isinstance(error, ServerError):
                        raise error
                    else:
                        failure = failure or error
        if failure is not None:
            raise failure

    @cached_property
    def _clients(self) -> "dict[str, OpenAI]":
        try:
            from openai import OpenAI
        except ImportError as error:
            raise ConfigurationError(
                "language_model.servers", "the openai package is not installed", "pip install 'cultureclip[server]'"
            ) from error
        settings = self._settings
        return {
            url: OpenAI(base_url=url, api_key=self._key, timeout=settings.timeout_s, max_retries=settings.retries)
            for url in settings.servers
        }

    @property
    def _key(self) -> str:
        name = self._settings.api_key_env
        key = os.environ.get(name, "") if name else _LOCAL_KEY
        if not key:
            raise ConfigurationError(
                f"api_key_env: {name}", "this environment variable is not set", "Export the key in it"
            )
        return key

    def _answer(self, request: Request) -> Answer:
        """Ask the servers in turn until one answers; a server that failed comes last for a while."""
        causes = []
        for url in self._order():
            self._pace.wait()
            try:
                return self._ask(url, request)
            except _ServerDownError as error:
                causes.append(f"{url}: {error}")
                self._down[url] = time.monotonic()
                logger.warning("Server %s did not answer: %s", url, error)
        remedy = "Start the servers, or raise timeout_s and retries; answers so far are kept, and the next run resumes"
        raise ServerError(self.name, "; ".join(causes), remedy)

    def _order(self) -> list[str]:
        urls = list(self._settings.servers)
        with self._lock:
            start, self._turn = self._turn % len(urls), self._turn + 1
        rotated = urls[start:] + urls[:start]
        recent = time.monotonic() - self._settings.timeout_s
        return sorted(rotated, key=lambda url: self._down.get(url, 0.0) > recent)

    def _ask(self, url: str, request: Request) -> Answer:
        import openai

        try:
            reply = self._clients[url].chat.completions.create(**_arguments(self.name, request, self._settings))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            remedy = "Check the key in the variable that api_key_env names"
            raise ServerError(url, f"it refuses the key ({error.status_code})", remedy) from None
        except openai.NotFoundError as error:
            remedy = "Check model and the server's address (most end in /v1)"
            raise ServerError(url, f"it does not know the model {self.name} ({error.status_code})", remedy) from None
        except openai.APIStatusError as error:
            if error.status_code < 500 and error.status_code not in (408, 409, 429):
                cause = f"it refuses the request ({error.status_code}: {_shown(error, self._key)})"
                raise ServerError(url, cause, "Check the prompt's length and what the server supports") from None
            raise _ServerDownError(f"{error.status_code} after {self._settings.retries + 1} tries") from None
        except (
            openai.APIError,
            ValueError,
            RecursionError,
        ) as error:  # no JSON, half a character, a cut stream, a time-out
            raise _ServerDownError(f"{type(error).__name__} ({_shown(error, self._key)})") from None
        return _read(reply, url, self.name, request)


class _ServerDownError(Exception):
    """A server did not give an answer that can be used: the next one is asked."""


def _arguments(name: str, request: Request, settings: ServerSettings) -> dict[str, Any]:
    sampling = request.sampling
    arguments: dict[str, Any] = {
        "model": name,
        "messages": [{"role": turn.role, "content": _content(turn.parts)} for turn in request.turns],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed % 2**31,
    }
    if sampling.stop is not None:
        arguments["stop"] = [sampling.stop]
    if request.schema is not None and settings.structured:
        schema = {"name": request.schema.__name__, "schema": request.json_schema, "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    return arguments


def _content(parts: tuple[str | Picture, ...]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, str) for part in parts):
        return "\n".join(str(part) for part in parts)
    return [
        {"type": "image_url", "image_url": {"url": part.url}}
        if isinstance(part, Picture)
        else {"type": "text", "text": part}
        for part in parts
    ]


def _read(reply: Any, url: str, name: str, request: Request) -> Answer:
    """Return one answer out of a reply whose fields may be missing or of any type, because servers differ.

    Raises:
        _ServerDownError: if the reply holds no answer.
        ServerError: if another model answered.
    """
    model = getattr(reply, "model", None)
    if isinstance(model, str) and model and not _same_model(model, name):
        raise ServerError(url, f"the model {model!r} answered, not {name!r}", "Name the model that the server runs")
    choices = getattr(reply, "choices", None)
    if not isinstance(choices, list) or len(choices) != 1:
        raise _ServerDownError(f"a reply with {len(choices) if isinstance(choices, list) else 'no'} choices")
    message = getattr(choices[0], "message", None)
    text, refusal = getattr(message, "content", None), getattr(message, "refusal", None)
    finish = _FINISHES.get(str(getattr(choices[0], "finish_reason", "")))
    if isinstance(refusal, str) and refusal:
        text, finish = refusal, "refused"
    if not isinstance(text, str) or finish is None:
        raise _ServerDownError("a reply without text or without a known finish reason")
    most = CHARACTERS_PER_TOKEN * request.sampling.max_tokens
    if len(text) > most:
        text, finish = text[:most], "length"
    usage = getattr(reply, "usage", None)
    return Answer(
        text=text,
        finish=finish,
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
    )


def _same_model(answered: str, asked: str) -> bool:
    """Compare names, because a server may answer with a path or a revision around the requested name."""
    return answered in asked or asked in answered


def _count(usage: Any, field: str) -> int:
    value = getattr(usage, field, None)
    return value if isinstance(value, int) and value >= 0 else 0


def _shown(error: Exception, key: str) -> str:
    """Return the beginning of a server's message on one line, without the key, which servers like to echo."""
    body = getattr(error, "body", None)
    text = json.dumps(body) if isinstance(body, dict) else str(error)
    return " ".join(text.replace(key, "***").split())[:SHOWN_MESSAGE]


class _Pace:
    """A limit of requests per minute over all threads."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the next request may start."""
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        time.sleep(max(0.0, start - now))
