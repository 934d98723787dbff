export { findChromium, launchBrowser, type Chromium } from './browser.ts'
export { findRedis, findTraefik } from './find.ts'
export { answers, freePort, start, until, type Running } from './process.ts'
export { startRedis, startTraefik, type Redis, type Traefik } from './servers.ts'
