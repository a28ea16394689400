# syntax=docker/dockerfile:1
# check=error=true
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH TARGETVARIANT
ARG VERSION=v0.0.0-dev
WORKDIR /src
RUN --mount=type=bind,source=go.mod,target=go.mod \
    --mount=type=bind,source=go.sum,target=go.sum \
    --mount=type=cache,target=/go/pkg/mod \
    go mod download
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build,id=go-$TARGETARCH \
    GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} \
    go build -trimpath -ldflags "-X main.version=${VERSION#v}" -o /out/tool ./cmd/tool

FROM scratch AS binary
COPY --link --from=build /out/tool /

FROM scratch
ARG VERSION=v0.0.0-dev
LABEL org.opencontainers.image.version="${VERSION#v}" \
      org.opencontainers.image.title=tool
COPY --link --from=binary /tool /usr/bin/tool
USER 65532:65532
ENTRYPOINT ["/usr/bin/tool"]
