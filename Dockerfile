ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}

ENV ENVIRONMENT=production HOST=0.0.0.0 PYTHONUNBUFFERED=1
WORKDIR /app
COPY requirements.lock pyproject.toml setup.cfg README.md ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock \
    && pip install --no-cache-dir "setuptools>=77,<82"
COPY migrations migrations
COPY satupeta_server satupeta_server
COPY satupeta_cli satupeta_cli
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --system --no-create-home satupeta
USER satupeta
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/api/health/live', timeout=3)"]
CMD ["satupeta", "serve"]
