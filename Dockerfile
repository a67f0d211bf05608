# Serves models/int8/ over HTTP, without PyTorch. See "In a container" in docs/serving.md.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS packages
WORKDIR /build
COPY requirements.lock extras.lock ./
# The packages that the server imports; the locks pin their versions, and those of what they depend on.
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    -c requirements.lock -c extras.lock \
    fastapi h11 numpy onnxruntime pandas prometheus-client prometheus-fastapi-instrumentator pydantic \
    ruamel.yaml tokenizers tqdm typer uvicorn \
    && /opt/venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY sentiment sentiment
COPY models/int8 /models/int8
RUN /opt/venv/bin/python -m compileall -q sentiment
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=30s --interval=10s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["python", "-m", "sentiment", "serve", "--host", "0.0.0.0"]
CMD ["--model", "/models/int8"]
