import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { ServerSettings } from '../config/types.ts'
import type { Emit } from '../middleware/types.ts'

export type VerifyTls = NonNullable<ServerSettings['verifyTls']>

/** Polled, not watched: a mounted secret's symlinks are swapped, which a watch does not see. */
const POLL_MS = 1000

export interface Pair extends SecureContextOptions {
  readonly cert: string
  readonly key: string
  readonly ca?: string
}

/** Reads the files. Throws where one cannot be read, or they do not belong together. */
export function readPair(files: VerifyTls): Pair {
  const cert = readFileSync(files.cert, 'utf8')
  const key = readFileSync(files.key, 'utf8')
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
    throw new Error('the key is not the certificate’s')
  const pair = { cert, key, ...(files.clientCa === undefined ? {} : { ca: readFileSync(files.clientCa, 'utf8') }) }
  createSecureContext(pair)
  return pair
}

export interface Certificates {
  readonly current: () => Pair
  /** Other files, or the same once more. */
  readonly reload: (files: VerifyTls) => void
  readonly close: () => void
}

/**
 * The certificate of `verify_listen`, read again when a file changes. A pair that cannot be used (half written, key and
 * certificate apart) is said, and the one before stays.
 */
export function createCertificates(first: VerifyTls, changed: (pair: Pair) => void, emit: Emit): Certificates {
  let files = first
  let pair = readPair(files)
  const again = (): void => {
    try {
      const next = readPair(files)
      if (next.cert === pair.cert && next.key === pair.key && next.ca === pair.ca) return
      changed(next)
      pair = next
      emit({ name: 'certificate_reloaded', fields: { valid_to: new X509Certificate(next.cert).validTo } })
    } catch (e) {
      emit({ name: 'certificate_reload_failed', fields: { error: e instanceof Error ? e.message : 'unreadable' } })
    }
  }
  const paths = (): string[] => [files.cert, files.key, ...(files.clientCa === undefined ? [] : [files.clientCa])]
  const watch = (): void => {
    for (const path of paths()) watchFile(path, { interval: POLL_MS, persistent: false }, again)
  }
  const unwatch = (): void => {
    for (const path of paths()) unwatchFile(path, again)
  }
  watch()
  return {
    current: () => pair,
    reload: (next) => {
      unwatch()
      // Whether a client certificate is wanted at all is the socket's, since it was opened.
      const { clientCa } = (files.clientCa === undefined) === (next.clientCa === undefined) ? next : files
      files = { cert: next.cert, key: next.key, ...(clientCa === undefined ? {} : { clientCa }) }
      watch()
      again()
    },
    close: unwatch,
  }
}
