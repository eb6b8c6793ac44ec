"""The Litestar application: every route but the hot ones, which `middleware.py` has."""

from collections.abc import Callable

from litestar import Litestar

from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.observe.collector import Metrics
from ml_pipeline.replicas.reload import Reloader
from ml_pipeline.web.admin import admin_guard, guard_admin_handlers
from ml_pipeline.web.cross_site import cross_site_guard
from ml_pipeline.web.dashboard import dashboard_routes
from ml_pipeline.web.docs import docs_routes
from ml_pipeline.web.error_response import to_response
from ml_pipeline.web.health import Dependency, health_routes
from ml_pipeline.web.inference_protocol import inference_routes
from ml_pipeline.web.inference_statistics import statistics_routes
from ml_pipeline.web.model_repository import repository_routes
from ml_pipeline.web.models import model_routes
from ml_pipeline.web.openapi import openapi_document


def build_litestar(
    lifecycle: Lifecycle,
    repository: Repository,
    reloader: Reloader,
    metrics: Metrics,
    dependencies: Callable[[], list[Dependency]],
    *,
    admin_token: str,
    production: bool,
    cors_origins: tuple[str, ...],
    max_body_bytes: int,
) -> Litestar:
    """Make the application.

    Args:
        lifecycle: Where the process stands.
        repository: The models.
        reloader: Loads them.
        metrics: What is scraped.
        dependencies: Asked for what the server can do without.
        admin_token: What callers of admin routes must send; empty = there is none.
        production: Whether admin routes are closed where there is no token.
        cors_origins: Origins whose pages may call routes that change something.
        max_body_bytes: Largest body.
    """
    handlers = [
        *health_routes(lifecycle, repository, metrics, dependencies),
        *model_routes(repository, reloader),
        *inference_routes(lifecycle, repository),
        *statistics_routes(repository, metrics.models),
        *repository_routes(repository, reloader),
        *docs_routes(openapi_document),
        *dashboard_routes(),
    ]
    guard_admin_handlers(handlers, admin_guard(admin_token, production=production))
    return Litestar(
        route_handlers=handlers,
        guards=[cross_site_guard(cors_origins, any_with_token=bool(admin_token))],
        exception_handlers={Exception: to_response},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=max_body_bytes,
    )
