# Nginx's counters as metrics: the exporter as Debian packages it.

FROM debian:trixie-slim
RUN apt-get update && \
    apt-get install --yes --no-install-recommends prometheus-nginx-exporter && \
    rm -rf /var/lib/apt/lists/*
USER 10002:10002
EXPOSE 9113
ENTRYPOINT ["prometheus-nginx-exporter"]
