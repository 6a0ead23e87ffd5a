# segflow's command line. `docker compose up` runs it as a worker beside Kafka and Redis.
FROM python:3.12-slim

WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
COPY schemas schemas
COPY segflow segflow
COPY state state
COPY streams streams
RUN pip install --no-cache-dir --constraint constraints.txt . \
    && rm -rf /build \
    && useradd --system --uid 10001 --no-create-home segflow

# Where segflow.yaml is looked for.
WORKDIR /etc/segflow
USER segflow
ENTRYPOINT ["segflow"]
CMD ["worker"]
