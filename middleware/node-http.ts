/**
 * `node:http` as `require` gives it. An `import` of its values reads every name that it exports, and for three of them (a
 * browser's WebSocket and its events) Node loads all of undici: a tenth of a start, for nothing.
 */
export const { STATUS_CODES, createServer, request } = process.getBuiltinModule('node:http')
