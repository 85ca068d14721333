# One image for coordinator and workers: two bundles, and the files that the servers read. The build does not need
# BuildKit.
FROM node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# No install scripts: one of them would download a second Node.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY build.ts tsconfig.json ./
COPY worker worker
COPY coordinator coordinator
COPY helm/files helm/files
RUN /usr/local/bin/node build.ts

FROM node:24-bookworm-slim
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/compile-cache
WORKDIR /app
COPY package.json ./
COPY --from=build /src/dist ./
COPY helm/files helm/files
RUN mkdir compile-cache && chown 65532:65532 compile-cache
# Numeric, so that Kubernetes can verify that it is not root.
USER 65532:65532
# Fills the compile cache here, as the user of the pods, instead of in each pod. A worker without its environment exits
# at once.
RUN node worker.js 2>/dev/null || node coordinator.js --help >/dev/null
# Node is process 1 and handles signals itself. Its only child processes are commands that print a secret, which it waits for.
ENTRYPOINT ["node"]
CMD ["/app/coordinator.js", "--help"]
