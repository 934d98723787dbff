import type { Store } from 'express-session'
import type { EndReason, EpochMs, Maybe, SessionId, Write } from '../types.ts'

/** Slots beside the services' own. */
export const REFRESH_TOKEN = '@refresh'
export const ID_TOKEN = '@id_token'

/** A session as a store keeps it: opaque, sealed strings and a few numbers. */
export interface StoredSession {
  readonly record: string
  readonly version: number
  readonly state: string
  readonly idleUntil: EpochMs
  /** Sealed values by slot. */
  readonly slots: Readonly<Record<string, string>>
  /** Fence that the refresh token was written under. */
  readonly fence: number
  /** Rises with every change of record, state or slots: equal means that a parsed copy is still good. */
  readonly revision: number
}

/** What tells whether a parsed copy is still good. */
export interface Seen {
  readonly revision: number
  readonly idleUntil: EpochMs
}

export interface NewStored {
  readonly state: string
  readonly idleUntil: EpochMs
  readonly expiresAt: EpochMs
  readonly slots: Readonly<Record<string, string>>
  /** Keyed hashes under which the session can be found: by user, by the provider's sid, by handle. */
  readonly indexes: readonly string[]
}

export interface LeaseGrant {
  readonly owner: string
  readonly fence: number
}

/**
 * What SQLite and Redis each do, and all that they do: strings in, strings out. Sealing, parsing and caching are
 * sessions.ts's. Every call throws StoreUnavailable for a fault and never answers "none" for one.
 */
export interface SessionBackend {
  /** express-session's store, which writes the record once. It refuses a record whose session has no state, or has ended. */
  readonly expressStore: () => Promise<Store>
  open(id: SessionId, s: NewStored): Promise<void>
  /**
   * What is known of a session without reading it whole: the cheap question behind every warm request. 'unknown': ask
   * load(). Synchronous always.
   */
  peek(id: SessionId): Seen | 'unknown' | undefined
  /** undefined unless record and state both exist. */
  load(id: SessionId): Maybe<StoredSession | undefined>
  endedReason(id: SessionId): Maybe<EndReason | undefined>
  update(id: SessionId, readVersion: number, state: string): Promise<Write>
  touch(id: SessionId, idleUntil: EpochMs): Promise<Write>
  putSlot(id: SessionId, slot: string, value: string | undefined): Promise<Write>
  /** All slots at once, if `fence` is the newest lease's. */
  rotate(id: SessionId, slots: Readonly<Record<string, string>>, fence: number): Promise<Write>
  end(ids: readonly SessionId[], reason: EndReason): Promise<readonly SessionId[]>
  find(index: string): Promise<readonly SessionId[]>
  /** Every session by its id, whether or not it can be opened. */
  list(): AsyncIterable<SessionId>
  /** When sessions were last revoked all at once; 0 for never. */
  readEpoch(): Maybe<EpochMs>
  /** Raises it, never lowers it, and tells the other processes. Answers what it is now. */
  raiseEpoch(at: EpochMs): Promise<EpochMs>
  /** Told when another process raised it; 'unknown' when a connection is new, so that it must be read again. */
  onEpoch(f: (at: EpochMs | 'unknown') => void): () => void
  once(key: string, ttlMs: number): Promise<boolean>
  forget(key: string): Promise<void>
  count(key: string, windowMs: number): Promise<{ readonly count: number; readonly resetMs: number }>
  /** `session`: the lease of a session; its fence lives as long as the session. Else a shared one. Undefined: held by another. */
  tryLease(
    key: { readonly session: SessionId } | { readonly shared: string },
    owner: string,
    ttlMs: number,
  ): Promise<LeaseGrant | undefined | 'gone'>
  renewLease(
    key: { readonly session: SessionId } | { readonly shared: string },
    owner: string,
    ttlMs: number,
  ): Promise<boolean>
  releaseLease(key: { readonly session: SessionId } | { readonly shared: string }, owner: string): Promise<void>
  /** Values that are nobody's session: machine tokens (sealed), notes. */
  getShared(key: string): Promise<string | undefined>
  putShared(key: string, value: string, ttlMs: number): Promise<void>
  onEnded(f: (id: SessionId, reason: EndReason) => void): () => void
  /** Ends may have been missed: whatever is open must be judged anew. Not there where none can be missed. */
  onGap?(f: () => void): () => void
  health(): Promise<{ readonly up: boolean; readonly detail?: string; readonly warnings: readonly string[] }>
  close(): Promise<void>
}

/** What is written of a record and read again: sealing is decided in one place. */
export interface RecordSeal {
  seal(id: string, sessionData: object): string
  open(id: string, sealed: string): object | undefined
}
