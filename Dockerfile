# syntax=docker/dockerfile:1
# No build step: Node strips the types. Target `service` is the product, `demo` the demo's provider, APIs and SPA.
FROM node:26-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./

FROM base AS dependencies
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM base AS demo
# Scripts are left out: the one that would run fetches a Node, and this image is one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY config ./config
COPY middleware ./middleware
COPY traefik ./traefik
COPY demo ./demo
USER node
ENTRYPOINT ["node", "demo/parts.ts"]

FROM node:26-bookworm-slim AS service
ENV NODE_ENV=production BFF_CONFIG=/config
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json cli.ts app.ts compose.ts ./
COPY commands ./commands
COPY config ./config
COPY listeners ./listeners
COPY middleware ./middleware
COPY proxy ./proxy
COPY traefik ./traefik
# Compiled once, here: a start is half a second shorter. Node keeps it by user id, and nobody may write it later.
ENV NODE_COMPILE_CACHE=/app/.cache/compiled
RUN install -d -o node -g node /app/.cache \
  && su node -s /bin/sh -c "node cli.ts --help && node -e \"for (const f of [ \
    'commands/serve', 'listeners/verify-door', 'middleware/endpoints/explain', 'middleware/endpoints/express-app', \
    'middleware/provider/protocol', 'middleware/session/stores/redis', 'middleware/session/stores/sqlite', \
    'middleware/session/stores/sqlite-express-store', 'middleware/telemetry/registry', 'proxy/proxy' \
  ]) import('/app/' + f + '.ts')\"" > /dev/null \
  && chown -R root:root /app/.cache && chmod -R a+rX /app/.cache
# The one writable place: SQLite's folder and `session.state_dir`, whose default is ./data. The root file system may be read-only.
RUN install -d -o node -g node -m 0700 /data && ln -s /data /app/data
VOLUME /data
USER node
EXPOSE 4181 4190
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:4181/auth/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "cli.ts"]
CMD ["serve"]
