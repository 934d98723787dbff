#!/usr/bin/env node
// JavaScript, since a TypeScript entry makes Node load its type stripper, a megabyte of WebAssembly, before it can be told
// where the stripped code is kept. `node cli.ts` does the same, a tenth of a second later.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

enableCompileCache(join(import.meta.dirname, '..', '.cache', 'compiled'))
await import('../cli.ts')
