"""The emulator as a web server: routes, delivery, start and stop. The only file of the room that does I/O."""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from pipeline.clock import Clock, ScaledClock
from pipeline.emulator.analysis.routes import AnalysisRoutes
from pipeline.emulator.limits import Provider
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.retrieval.routes import RetrievalRoutes
from pipeline.emulator.service import Call, Outcome, Service
from pipeline.emulator.stats import Stats
from pipeline.emulator.wire import errors
from pipeline.emulator.wire.errors import Rejected
from pipeline.errors import UserError

SLOW_PIECES = 20
SLOW_SECONDS = 10.0
HANG_SECONDS = 3600.0
STOP_SECONDS = 0.2
"""How long a stop waits for requests under way; those that hang are cut then."""

SERVICE = web.AppKey("service", Service)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")


@dataclass(frozen=True, slots=True)
class Running:
    """A started emulator."""

    endpoint: str
    """`http://127.0.0.1:PORT`, what AZURE_OPENAI_ENDPOINT takes."""
    service: Service
    runner: web.AppRunner

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`, what OPENAI_BASE_URL takes."""
        return f"{self.endpoint}/v1"

    @property
    def stats(self) -> Stats:
        return self.service.stats

    async def stop(self) -> None:
        await self.runner.cleanup()


def create_app(options: EmulatorOptions, clock: Clock) -> web.Application:
    """The emulator's routes around one Service, which is at `app[SERVICE]`."""
    app = web.Application(client_max_size=options.max_body_bytes)
    app[SERVICE], app[CLOCK] = Service(options, clock), clock
    app.add_routes([web.get("/health", _health), web.get("/stats", _stats), web.post("/reset", _reset)])
    app.add_routes([web.get("/identity/token", _token)])
    for prefix in ("", "/{endpoint}") if options.endpoints else ("",):
        if options.provider != "azure":
            app.add_routes(
                [web.post(f"{prefix}/v1/chat/completions", _openai), web.get(f"{prefix}/v1/models", _models)]
            )
        if options.provider != "openai":
            deployment = f"{prefix}/openai/deployments/{{deployment}}"
            app.add_routes(
                [
                    web.post(f"{deployment}/chat/completions", _azure),
                    web.post(f"{deployment}/extensions/chat/completions", _azure),
                    web.post(f"{prefix}/openai/v1/chat/completions", _azure),
                    web.get(f"{prefix}/openai/v1/models", _models),
                    web.get(f"{prefix}/openai/models", _models),
                ]
            )
    if options.provider != "openai":
        app.add_routes(_retrieval(app[SERVICE], clock).routes())
        app.add_routes(_analysis(app[SERVICE], clock).routes())
    app.router.add_route("*", "/{path:.*}", _unknown)
    return app


async def start(options: EmulatorOptions, clock: Clock | None = None) -> Running:
    """Listen. `clock`: the emulator's own; None: the machine's, at the scale that the options say.

    Raises UserError when the address is not free.
    """
    app = create_app(options, clock or ScaledClock(options.time_scale))
    # A client that goes away ends its request, as it does behind a real gateway.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
    except OSError as error:
        await runner.cleanup()
        reason = os.strerror(error.errno) if error.errno else error
        raise UserError(
            f"Cannot listen on {options.host} port {options.port}: {reason}. Give another --port, or 0 for any."
        ) from None
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    return Running(f"http://{shown}:{port}", app[SERVICE], runner)


def serve(options: EmulatorOptions, announce: Callable[[Running], None]) -> Stats | None:
    """Run until interrupted; `announce` is called once it listens. Gives the counters, if it got as far as that."""
    stats: Stats | None = None

    async def run() -> None:
        nonlocal stats
        running = await start(options)
        stats = running.stats
        try:
            announce(running)
            await asyncio.Event().wait()
        finally:
            stats = running.stats  # another one after each reset
            await running.stop()

    with suppress(KeyboardInterrupt):
        asyncio.run(run())
    return stats


def _analysis(service: Service, clock: Clock) -> AnalysisRoutes:
    def check_key(key: str | None, bearer: bool) -> None:
        service.check_key("azure", key, bearer=bearer)

    def count(status: int) -> None:
        service.stats.analyses[status] += 1

    return AnalysisRoutes(service.options.vision_rpm, clock, check_key, count)


def _retrieval(service: Service, clock: Clock) -> RetrievalRoutes:
    def check_key(key: str | None, bearer: bool) -> None:
        service.check_key("azure", key, bearer=bearer)

    return RetrievalRoutes(lambda: service.retrieval, clock, check_key)


async def _openai(request: web.Request) -> web.StreamResponse:
    return await _chat(request, "openai")


async def _azure(request: web.Request) -> web.StreamResponse:
    dated = "deployment" in request.match_info
    if dated and not request.query.get("api-version"):
        return _response(request.app[SERVICE].refuse("azure", errors.NO_SUCH_RESOURCE))
    return await _chat(request, "azure")


async def _chat(request: web.Request, provider: Provider) -> web.StreamResponse:
    service, endpoint = request.app[SERVICE], _endpoint(request)
    with service.stats.handling(endpoint, request.app[CLOCK].monotonic()) as number:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return await _deliver(request, service.refuse(provider, errors.BODY_TOO_LARGE))
        key, bearer = _key(request, provider)
        call = Call(
            provider=provider,
            body=body,
            content_type=request.content_type,
            key=key,
            endpoint=endpoint,
            deployment=request.match_info.get("deployment"),
            api_version=request.query.get("api-version"),
            enhanced="/extensions/" in request.path,
            bearer=bearer,
        )
        return await _deliver(request, service.ask(call, number))


async def _deliver(request: web.Request, outcome: Outcome) -> web.StreamResponse:
    stats, clock = request.app[SERVICE].stats, request.app[CLOCK]
    try:
        if outcome.delay_seconds:
            await clock.sleep(outcome.delay_seconds)
        response = await _send(request, outcome)
    except (asyncio.CancelledError, ConnectionError):
        stats.abandoned += 1
        raise
    if outcome.delivery in ("whole", "slow_body"):
        stats.sent(_endpoint(request), outcome.status, outcome.question, clock.monotonic())
    return response


async def _send(request: web.Request, outcome: Outcome) -> web.StreamResponse:
    clock = request.app[CLOCK]
    if outcome.delivery == "hang":
        await clock.sleep(HANG_SECONDS)
    if outcome.delivery in ("hang", "cut"):
        return _cut(request, web.Response())
    if outcome.delivery == "whole":
        # Sent here and not by returning it, so that an answer counts only when it has left.
        response: web.StreamResponse = _response(outcome)
        await response.prepare(request)
        await response.write_eof()
        return response
    headers = {**outcome.headers, "Content-Type": outcome.content_type, "Content-Length": str(len(outcome.body))}
    response = web.StreamResponse(status=outcome.status, headers=headers)
    await response.prepare(request)
    if outcome.delivery == "cut_body":
        await response.write(outcome.body[: len(outcome.body) // 2])
        return _cut(request, response)
    size = len(outcome.body) // SLOW_PIECES + 1
    for at in range(0, len(outcome.body), size):
        await clock.sleep(SLOW_SECONDS / SLOW_PIECES)
        await response.write(outcome.body[at : at + size])
    await response.write_eof()
    return response


def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return response


def _response(outcome: Outcome) -> web.Response:
    return web.Response(
        body=outcome.body, status=outcome.status, headers=outcome.headers, content_type=outcome.content_type
    )


def _key(request: web.Request, provider: Provider) -> tuple[str | None, bool]:
    """What was shown, and whether as a bearer token."""
    if provider == "azure" and "api-key" in request.headers:
        return request.headers["api-key"], False
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return (key or None, True) if scheme.lower() == "bearer" else (None, False)


def _provider(request: web.Request) -> Provider:
    return "azure" if "/openai/" in request.path else "openai"


def _endpoint(request: web.Request) -> str:
    return request.match_info.get("endpoint", "")


async def _models(request: web.Request) -> web.Response:
    service, provider = request.app[SERVICE], _provider(request)
    try:
        key, bearer = _key(request, provider)
        service.check_key(provider, key, bearer=bearer)
        listed = service.model_list(provider, _endpoint(request))
    except Rejected as rejected:
        return _response(service.refuse(provider, rejected.error))
    return web.Response(body=listed, content_type="application/json")


async def _token(request: web.Request) -> web.Response:
    """What IDENTITY_ENDPOINT names on a machine with a managed identity."""
    answer = request.app[SERVICE].token(request.query.get("resource", ""))
    if answer is None or "X-IDENTITY-HEADER" not in request.headers:
        return await _unknown(request)
    return web.Response(body=answer, content_type="application/json")


async def _unknown(request: web.Request) -> web.Response:
    service, provider = request.app[SERVICE], _provider(request)
    return _response(service.refuse(provider, errors.unknown_url(provider, request.method, request.path)))


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _stats(request: web.Request) -> web.Response:
    text = json.dumps(request.app[SERVICE].stats.as_json(), indent=2) + "\n"  # a person reads it too
    return web.Response(text=text, content_type="application/json")


async def _reset(request: web.Request) -> web.Response:
    request.app[SERVICE].reset()
    return web.json_response({"status": "ok"})
