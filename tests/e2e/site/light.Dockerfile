# The second service's program in the first one's place, where a test is about the pipelines.
FROM scratch
ARG VERSION=development
ARG COMMIT=unknown
ENV APP_VERSION=$VERSION APP_COMMIT=$COMMIT PORT=8000
COPY greeter /greeter
USER 10001:10001
CMD ["/greeter"]
