import type { ServerMetadata } from 'openid-client'
import type { Clock } from '../types.ts'
import { backoffMs } from './circuit.ts'
import { ProviderUnavailable } from './errors.ts'

/** Providers change endpoints rarely; the library never looks again by itself (dependencies: "metadata never"). */
const STALE_MS = 60 * 60 * 1000
/** A refresh asked for because something did not fit comes at most this often. */
const SUSPECT_MS = 10_000

export interface Metadata {
  get(): Promise<ServerMetadata>
  current(): ServerMetadata | undefined
  /** Why the last attempt failed, until one succeeds. */
  fault(): string | undefined
  /** Something did not fit (unknown key, endpoint gone): look again in the background. */
  suspect(): void
  close(): void
}

export interface MetadataOptions {
  readonly discover: () => Promise<ServerMetadata>
  readonly clock: Clock
  readonly random: (bytes: number) => Uint8Array
  readonly onChange: () => void
}

/**
 * Discovery (OpenID Connect Discovery 1.0 §4), lazy and memoised. Once known, metadata is used however old it is while
 * a fresh copy is fetched behind it; while unknown, callers get ProviderUnavailable at once between attempts.
 */
export function createMetadata(o: MetadataOptions): Metadata {
  const stop = new AbortController()
  let known: ServerMetadata | undefined
  let fetchedAt = -Infinity
  let flight: Promise<ServerMetadata> | undefined
  let fault: string | undefined
  let failures = 0
  let nextTryAt = 0
  let recovering = false

  const attempt = (): Promise<ServerMetadata> => {
    flight ??= o
      .discover()
      .then((md) => {
        known = md
        fetchedAt = o.clock.monoMs()
        fault = undefined
        failures = 0
        o.onChange()
        return md
      })
      .catch((e: unknown) => {
        fault = e instanceof Error ? e.message : 'discovery failed'
        const wait = backoffMs(failures++, o.random)
        nextTryAt = o.clock.monoMs() + wait
        o.onChange()
        void recover()
        throw new ProviderUnavailable(`discovery failed: ${fault}`, Math.max(1, Math.ceil(wait / 1000)))
      })
      .finally(() => {
        flight = undefined
      })
    return flight
  }
  const isStopped = (): boolean => stop.signal.aborted
  const inBackground = (): void => void attempt().catch(() => undefined)

  /** Goes on until discovery works, so that readiness comes back without any traffic. */
  const recover = async (): Promise<void> => {
    if (recovering) return
    recovering = true
    while (fault !== undefined) {
      await o.clock.sleep(Math.max(nextTryAt - o.clock.monoMs(), 50), stop.signal)
      if (isStopped()) break
      await attempt().catch(() => undefined)
    }
    recovering = false
  }

  return {
    get: () => {
      if (known !== undefined) {
        if (o.clock.monoMs() - fetchedAt > STALE_MS && fault === undefined) inBackground()
        return Promise.resolve(known)
      }
      const left = nextTryAt - o.clock.monoMs()
      if (flight === undefined && fault !== undefined && left > 0) {
        return Promise.reject(
          new ProviderUnavailable(`discovery failed: ${fault}`, Math.max(1, Math.ceil(left / 1000))),
        )
      }
      return attempt()
    },
    current: () => known,
    fault: () => fault,
    suspect: () => {
      if (known !== undefined && fault === undefined && o.clock.monoMs() - fetchedAt > SUSPECT_MS) inBackground()
    },
    close: () => stop.abort(),
  }
}
