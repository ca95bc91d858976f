FROM python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7

# A mirror of the Python package index, where the site has no internet.
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /srv
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY app app

ARG VERSION=development
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="fastapi-postgres-app" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
ENV APP_VERSION=$VERSION APP_COMMIT=$COMMIT PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
CMD ["python3", "-m", "uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-graceful-shutdown", "20"]
