ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /build
COPY requirements-run.lock ./
# Only setuptools of this file, with its hashes: it is what pyproject.toml builds with.
RUN awk '/^setuptools==/ {found = 1} found {print; if (!/\\$/) exit}' requirements-run.lock > build.lock \
    && pip install --no-cache-dir --require-hashes -r build.lock
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY satupeta_server satupeta_server
COPY satupeta_cli satupeta_cli
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${BASE_IMAGE}
ENV ENVIRONMENT=production HOST=0.0.0.0 PORT=5000 PYTHONUNBUFFERED=1
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl && rm -r /wheels \
    && useradd --system --no-create-home --shell /usr/sbin/nologin satupeta
USER satupeta
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/api/health/live', timeout=3)"]
CMD ["satupeta", "serve"]
