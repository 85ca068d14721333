# One image for coordinator and workers: two bundles and the files that servers read. Nothing here needs BuildKit.
FROM node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# Without install scripts: they would download a Node for machines that have none.
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
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Compiled here and not in each pod, by the user of the pods. A worker without its environment ends at once.
RUN node worker.js 2>/dev/null || node coordinator.js --help >/dev/null
# Node is process 1 and handles the signals itself; it starts no children here.
ENTRYPOINT ["node"]
CMD ["/app/coordinator.js", "--help"]
