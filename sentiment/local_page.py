"""The web server of a Gradio page: it listens only on this machine, and serves only the page."""

import contextlib
import logging
import socket
from typing import Any

import gradio
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount

ADDRESS = "127.0.0.1"
_WIDTH = ".gradio-container { max-width: 56rem !important; margin: auto; }"


class _UnfinishedAnswers(dict[str, Any]):
    """Gradio's unfinished answers by event; deleting one twice is no error.

    Gradio deletes an answer in two places if it is cancelled while it ends, and would print a stack trace.
    """

    def __delitem__(self, event: str) -> None:
        self.pop(event, None)


def serve(page: gradio.Blocks, listening: socket.socket, css: str) -> None:
    """Serve the page until Ctrl-C. Requests must name this machine as host, so that no other site can ask.

    Args:
        page: the page.
        listening: a socket that listens on ADDRESS.
        css: styles of the page, in addition to its width.
    """
    app = FastAPI(openapi_url=None, middleware=[Middleware(TrustedHostMiddleware, [ADDRESS, "localhost"])])
    # Fonts of the system: Gradio's own theme loads them from Google.
    theme = gradio.themes.Base(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    theme.set(button_primary_background_fill="*primary_600")  # with enough contrast
    gradio.mount_gradio_app(
        app,
        page,
        path="/",
        app_kwargs={"openapi_url": None},
        footer_links=[],
        max_file_size=0,
        enable_monitoring=False,
        run_history=False,  # otherwise the browser would store every review
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        theme=theme,
        css=f"{_WIDTH}\n{css}",
    )
    (mounted,) = (route.app for route in app.routes if isinstance(route, Mount))
    mounted.iterators = _UnfinishedAnswers()  # type: ignore[attr-defined]  # of Gradio's App
    print(f"http://{ADDRESS}:{listening.getsockname()[1]} (Ctrl-C stops the server)", flush=True)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(settings)
    # After Ctrl-C, the connection that each open page keeps is cancelled, which would log a stack trace.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
