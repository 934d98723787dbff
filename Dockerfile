# syntax=docker/dockerfile:1
# The service alone: production dependencies, no build step (Node strips the types).
FROM node:26-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:26-bookworm-slim
ENV NODE_ENV=production BFF_CONFIG=/config
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json cli.ts app.ts compose.ts ./
COPY commands ./commands
COPY config ./config
COPY middleware ./middleware
COPY proxy ./proxy
COPY traefik ./traefik
# The one writable place: SQLite's folder. The root file system may be read-only.
RUN install -d -o node -g node -m 0700 /data
VOLUME /data
USER node
EXPOSE 4181 4190
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:4181/auth/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "cli.ts"]
CMD ["serve"]
