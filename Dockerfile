# Build: compiles TypeScript, drops development packages and the ONNX runtime's libraries for other platforms.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/prune-image.mjs ./scripts/prune-image.mjs
COPY src ./src
RUN npm run build
RUN npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
RUN node scripts/prune-image.mjs node_modules

# Run: no compiler, no shell needed, not root. Start with --read-only; only /data is written.
FROM node:24-bookworm-slim
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE capability-statement.json ./
COPY profiles ./profiles
COPY cds-services ./cds-services
COPY monitoring ./monitoring
COPY models ./models
COPY surveillance ./surveillance
COPY knowledge ./knowledge
COPY pages ./pages
COPY seed-data ./seed-data
COPY issuers ./issuers
COPY roles ./roles
COPY deidentification ./deidentification
COPY security-labels ./security-labels
RUN mkdir -p /data && chown node:node /data
ENV NODE_ENV=production
ENV DATA_DIR=/data
ENV ORT_DISABLE_TELEMETRY=1
VOLUME /data
EXPOSE 8080
USER node
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["node", "dist/probe.js"]
ENTRYPOINT ["node", "--disable-proto=delete", "--max-semi-space-size=64", "dist/main.js"]
