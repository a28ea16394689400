FROM node:20 AS dependencies
WORKDIR /app
COPY package.json package-lock.json* ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,required \
    --mount=type=ssh \
    --mount=type=cache,target=/root/.npm,sharing=locked,uid=0,gid=0,mode=0700 \
    npm ci
RUN --mount=type=secret,id=sentry,env=SENTRY_AUTH --network=default npm run upload
RUN --network=none --mount=type=tmpfs,target=/tmp,size=64m npm test

FROM gcr.io/distroless/nodejs20-debian12:nonroot@sha256:0000000000000000000000000000000000000000000000000000000000000000
COPY --from=dependencies --chmod=u=rwX,go=rX --parents /app/./node_modules /app/./dist /app/
ADD --checksum=sha256:1111111111111111111111111111111111111111111111111111111111111111 https://example.com/data.bin /data/
ADD --keep-git-dir=true https://example.com/owner/repo.git#v1.0 /src
STOPSIGNAL SIGINT
VOLUME ["/data", "/var/lib/my app"]
CMD ["/app/dist/index.js"]
