import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { connect, createSecureContext, type SecureContextOptions } from 'node:tls'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { ListenAddress, ServerSettings } from '../config/types.ts'
import type { Emit } from '../middleware/types.ts'
import { ASK_MS, reachable, type Holder } from './deployment.ts'

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

/**
 * Asks who holds the port of the verify listener, where a client CA lets nobody ask over HTTP: a sibling is who shows our
 * certificate, for which it needs the key. (TLS 1.3 shows the certificate before the client's own is missed.)
 *
 * @param certificate PEM.
 */
export function askByCertificate(at: ListenAddress, certificate: string): Promise<Holder> {
  return new Promise((resolve) => {
    const socket = connect({ ...reachable(at), rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    const done = (who: Holder): void => {
      socket.destroy()
      resolve(who)
    }
    socket.setTimeout(ASK_MS, () => done('stranger'))
    socket.once('error', (e: NodeJS.ErrnoException) =>
      done(e.code === 'ECONNREFUSED' || e.code === 'ECONNRESET' ? 'nobody' : 'stranger'),
    )
    socket.once('secureConnect', () => {
      const shown = socket.getPeerX509Certificate()?.fingerprint256
      done(shown === new X509Certificate(certificate).fingerprint256 ? 'sibling' : 'stranger')
    })
  })
}
