import { secret } from '../../config/secret.ts'
import type { EpochMs, ServiceToken, SessionRecord, SessionState, TokenId } from '../types.ts'

/** Schema versions that this release reads; it writes the newest. */
const STATE_VERSION = 1

export function writeState(s: SessionState): string {
  return JSON.stringify({ v: STATE_VERSION, ...s })
}

export function readState(text: string): SessionState {
  const { v: _, ...state } = JSON.parse(text) as SessionState & { v: number }
  return state
}

export function writeRecord(r: SessionRecord): string {
  return JSON.stringify(r)
}

export function readRecord(text: string): SessionRecord {
  return JSON.parse(text) as SessionRecord
}

interface TokenText {
  i: string
  s: string
  t: string
  y: 'Bearer' | 'DPoP'
  a: readonly string[]
  c: readonly string[]
  r: number
  e?: number
}

/** A token, with its value in the clear: only ever sealed right after. */
export function writeToken(t: ServiceToken): string {
  const text: TokenText = {
    i: t.id,
    s: t.service,
    t: t.value.reveal(),
    y: t.type,
    a: t.audiences,
    c: t.scopes,
    r: t.receivedAt,
    ...(t.expiresAt === undefined ? {} : { e: t.expiresAt }),
  }
  return JSON.stringify(text)
}

export function readToken(text: string): ServiceToken {
  const t = JSON.parse(text) as TokenText
  return {
    id: t.i as TokenId,
    service: t.s,
    value: secret(t.t),
    type: t.y,
    audiences: t.a,
    scopes: t.c,
    receivedAt: t.r as EpochMs,
    expiresAt: t.e as EpochMs | undefined,
  }
}
