"""The application: all calls, what bounds them, and what is beside them."""

from __future__ import annotations

from importlib import resources
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from voltagora.platform.accounts.accounts import Accounts
from voltagora.platform.api.account_calls import account_calls
from voltagora.platform.api.bodies import IDLE_SECONDS, Bounded
from voltagora.platform.api.broker_calls import broker_calls
from voltagora.platform.api.build_calls import build_calls
from voltagora.platform.api.callers import Callers
from voltagora.platform.api.document import tell_openapi
from voltagora.platform.api.pages import Otherwise, PagesFirst, SinglePage
from voltagora.platform.api.platform_parts import FixedLists, Parts, PickLists
from voltagora.platform.api.replies import Reply, answer_refusals
from voltagora.platform.api.run_calls import run_calls
from voltagora.platform.api.service_calls import service_calls
from voltagora.platform.api.token_calls import admin_calls, token_calls
from voltagora.platform.api.topic_calls import topic_calls
from voltagora.platform.registry.registry import Registry
from voltagora.platform.rights import PlatformRights
from voltagora.platform.runner.interface import ServiceRunner


def build_api(
    registry: Registry,
    accounts: Accounts,
    rights: PlatformRights,
    runner: ServiceRunner,
    *,
    lists: PickLists | None = None,
    broker_secret: str | None = None,
    pages: ASGIApp | None = None,
    gui: Path | None = None,
    idle_seconds: float = IDLE_SECONDS,
) -> FastAPI:
    """Build the application.

    Args:
        registry: users, topics, services, rights.
        accounts: who somebody is.
        rights: who may do what, for brokers that ask.
        runner: builds and runs services.
        lists: the pick lists of the ontology.
        broker_secret: what brokers on other machines send along.
        pages: an application that answers whatever is no call, and browsers at `/topics` and `/services`.
        gui: a folder with a compiled single page in place of `pages`.
        idle_seconds: how long a body may stand still.
    """
    parts = Parts(
        registry=registry,
        accounts=accounts,
        rights=rights,
        runner=runner,
        lists=lists or FixedLists(),
        broker_secret=broker_secret,
    )
    pages = SinglePage(gui) if gui is not None else pages
    app = FastAPI(
        title="VoltAgora platform",
        version=version("voltagora"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_refusals(app)
    callers = Callers(accounts)
    for calls in (
        *(account_calls(parts, callers), topic_calls(parts, callers), service_calls(parts, callers)),
        *(
            run_calls(parts, callers),
            build_calls(parts, callers),
            token_calls(parts, callers),
            admin_calls(parts, callers),
        ),
        broker_calls(parts),
    ):
        app.include_router(calls)
    _beside(app)
    tell_openapi(app)
    app.router.routes.append(Mount("/", Otherwise(app.router.routes, pages)))
    app.add_middleware(PagesFirst, pages=pages)
    app.add_middleware(Bounded, idle_seconds=idle_seconds)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
    )
    return app


def _beside(app: FastAPI) -> None:
    @app.get("/swagger-documentation", include_in_schema=False)
    def swagger() -> Response:
        """The API file at its old address."""
        text = resources.files("voltagora.platform.api").joinpath("swagger.yaml").read_text("utf-8")
        return Response(text, media_type="application/yaml")

    @app.get("/health", tags=["operation"], response_model=dict[str, str])
    def health() -> Reply:
        """Say that the platform answers."""
        return Reply({"status": "ok"})
