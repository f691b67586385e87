# syntax=docker/dockerfile:1
# For work on it: tests, linters and the local profile, with the checkout mounted over /eservice.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS environment
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 TORCH_INDEX_URL=${TORCH_INDEX_URL}
WORKDIR /build
COPY requirements requirements
RUN python requirements/install.py --dev --venv /opt/eservice/venv

FROM ${PYTHON_IMAGE} AS development
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make procps \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 eservice \
    && useradd --uid 1000 --gid eservice --create-home eservice
COPY --from=environment /opt/eservice/venv /opt/eservice/venv
WORKDIR /eservice
COPY --chown=eservice:eservice . .
RUN chown eservice:eservice /eservice
ENV PATH=/opt/eservice/venv/bin:$PATH PYTHONPATH=/eservice PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=600s --retries=3 CMD ["python", "docker/health.py"]
CMD ["python", "-m", "deployments.local.serve"]
