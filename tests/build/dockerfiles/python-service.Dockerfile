# syntax=docker/dockerfile:1
ARG PYTHON=3.11

# base is what building and running share
FROM python:${PYTHON}-slim AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /srv

FROM base AS wheels
COPY pyproject.toml requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    # wheels are built once and installed without a compiler
    pip wheel --wheel-dir /wheels -r requirements.txt

FROM base
# the user that the service runs as
ARG UID=10001
RUN useradd --uid "$UID" app
COPY --from=wheels /wheels /wheels
RUN pip install /wheels/* && rm -rf /wheels
COPY --chown=app:app --exclude=**/test_*.py src ./
USER app
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 \
    CMD ["python", "-m", "service.health"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["--port", "8000"]
