# One image for the API and for every `satupeta` command. Its file system may be read-only, except
# /tmp, where uploads wait while they are checked. BASE_IMAGE is any with Python 3.11 to 3.13, pip
# and venv; to pin it to one build, add its digest.
ARG BASE_IMAGE=docker.io/library/python:3.12.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /build
# What changes seldom comes first: as long as the lock files stay, these layers come from the cache.
COPY requirements-run.lock requirements.lock ./
# The tools: of this lock file only setuptools, which pyproject.toml builds with.
RUN awk '/^setuptools==/ {found = 1} found {print; if (!/\\$/) exit}' requirements-run.lock > build.lock \
    && python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --require-hashes -r build.lock
RUN python3 -m venv --without-pip /opt/satupeta \
    && tools/bin/pip --python /opt/satupeta/bin/python install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY satupeta_server satupeta_server
COPY satupeta_cli satupeta_cli
RUN tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels . \
    && tools/bin/pip --python /opt/satupeta/bin/python install --no-cache-dir --no-deps --no-index wheels/*.whl

FROM ${BASE_IMAGE}
RUN groupadd --system --gid 10001 satupeta \
    && useradd --system --uid 10001 --gid satupeta --no-log-init --no-create-home --shell /usr/sbin/nologin satupeta
COPY --from=build /opt/satupeta /opt/satupeta
ENV PATH=/opt/satupeta/bin:$PATH ENVIRONMENT=production HOST=0.0.0.0 PORT=5000 PYTHONUNBUFFERED=1
WORKDIR /app
# By number, so that a runtime can see that it is not root.
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/api/health/live', timeout=3)"]
# Process 1 is `satupeta serve` itself: it gets the signals, and ends its API processes in order.
CMD ["satupeta", "serve"]
