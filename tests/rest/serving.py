"""Serves the API of a plane on an ephemeral port."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keystore.projects.plane import ProjectPlane
from keystore.rest.app import create_app
from keystore.rest.serving import RestServer


@contextmanager
def serving(plane: ProjectPlane, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Serve while the block runs, with a certificate and its key over HTTPS; give the URL."""
    server = RestServer(create_app(plane), "127.0.0.1:0", tls)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
