# Builds the image of one of our services: docker build --build-arg SERVICE=avro-consumer .
#
# tools     uv and the build tools for wheels; the final image does not contain them
# wheels    wheels of the shared package and of the service's package
# runtime   the interpreter, the user and the common dependencies, in layers that all images share
# service   the rest of the service's lock, its wheel and the files that it reads

# By tag here, by digest with compose.pinned.yml.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS tools
COPY requirements/bootstrap.lock requirements/build.lock /requirements/
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --require-hashes \
      --requirement /requirements/bootstrap.lock --requirement /requirements/build.lock

FROM tools AS wheels
COPY schemas /source/schemas
COPY kafka-connect-configs /source/kafka-connect-configs
COPY shared /source/shared
RUN uv build --quiet --wheel --offline --no-build-isolation --out-dir /wheels/shared /source/shared
ARG SERVICE
COPY services/${SERVICE} /source/services/${SERVICE}
RUN uv build --quiet --wheel --offline --no-build-isolation --out-dir /wheels/service "/source/services/${SERVICE}"

FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/venv/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    # Log lines must leave the container at once.
    PYTHONUNBUFFERED=1 \
    # The container's file system is read-only, and the image already contains the bytecode.
    PYTHONDONTWRITEBYTECODE=1 \
    # Prometheus and other clients read health and metrics from outside the container.
    NEWSROOM_HTTP_HOST=0.0.0.0 \
    NEWSROOM_STATE_DIR=/state
# /state needs the right owner, because a new named volume takes over the owner of its mount point.
RUN useradd --uid 10001 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin newsroom \
 && install --directory --owner=newsroom --group=newsroom /state
WORKDIR /app
COPY --chmod=755 docker/healthcheck.py ./
# Dependencies come before sources, and common ones before a service's own, so that layers rarely change.
RUN --mount=type=bind,from=tools,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,source=requirements/shared.lock,target=/tmp/shared.lock \
    --mount=type=cache,target=/root/.cache \
    uv venv --quiet /opt/venv \
 && uv pip install --quiet --link-mode=copy --compile-bytecode --require-hashes --requirement /tmp/shared.lock

FROM runtime AS service
ARG SERVICE
# Both locks have the same versions (scripts/lock), so this step only adds the service's own dependencies.
RUN --mount=type=bind,from=tools,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,source=requirements,target=/tmp/requirements \
    --mount=type=cache,target=/root/.cache \
    uv pip install --quiet --link-mode=copy --compile-bytecode --require-hashes \
      --requirement "/tmp/requirements/${SERVICE}.lock"
# For commands that name one, such as --schema-path schemas/news-v2-required.avsc. --chmod, because the clone's file
# modes may not let the service's user read the files.
COPY --chmod=755 schemas schemas
RUN --mount=type=bind,from=tools,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    uv pip install --quiet --no-cache --offline --no-deps --compile-bytecode /wheels/shared/*.whl /wheels/service/*.whl \
    # One entry point for every image, so that the command has only the service's options.
 && ln -s "/opt/venv/bin/${SERVICE}" /usr/local/bin/service
LABEL org.opencontainers.image.title="newsroom ${SERVICE}" \
      org.opencontainers.image.description="A service of Newsroom, a Kafka system to run, break and measure" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["python", "-I", "-S", "/app/healthcheck.py"]
ENTRYPOINT ["service"]
# An option, not an environment variable: a second command in the container must not take the same port.
CMD ["--http-port", "8000"]
# Last, so that another commit changes no layer. `make docker-build` sets both: the clone's commit and origin.
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
