# Assay with all its tools. What your repositories' own tests need (node, make, a compiler) goes into an image of yours:
#
#   FROM assay
#   USER root
#   RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm make && rm -rf /var/lib/apt/lists/*
#   USER 10001

# The whole image builds, because a few wheels do not exist for every processor; the slim one runs.
FROM python:3.12-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements.lock /src/
# A lock file is whole, so nothing is left to resolve.
RUN /venv/bin/pip install --require-hashes --no-deps -r /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY config /src/config
COPY bot /src/bot
COPY workers /src/workers
# The build's own tool, setuptools, is in the lock too: nothing unpinned is fetched.
RUN /venv/bin/pip install --no-deps --no-build-isolation /src

FROM python:3.12-slim-bookworm
# The distribution's redis-server is found first and gets its security fixes; the one in the wheel is the spare.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap ca-certificates git redis-server \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --shell /usr/sbin/nologin assay \
 && install -d -o assay -g assay -m 700 /data
COPY --from=build /venv /venv
# HOME is named so that it is known under another uid too (`docker run --user`).
ENV PATH=/venv/bin:$PATH \
    HOME=/home/assay \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ASSAY_DATA_DIR=/data \
    ASSAY_HOST=0.0.0.0 \
    ASSAY_PORT=8000
USER 10001
WORKDIR /home/assay
VOLUME /data
EXPOSE 8000
# For `serve` and `web`; run workers and the sweep with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "import os, sys; from http.client import HTTPConnection as C; c = C('127.0.0.1', int(os.environ['ASSAY_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["assay"]
CMD ["serve"]
