import { secret } from '../../config/secret.ts'
import type { EpochMs, ServiceToken, SessionRecord, SessionState, TokenId } from '../types.ts'

/**
 * Version of what is stored of a session: record, state and token each carry it as `v`. A change only ever adds, so that this
 * release, the one before and the one after read each other's (a rolling upgrade, and the way back): a reader accepts its own
 * version and its two neighbours, and fields that it does not know survive when it writes. What is further away is not read.
 */
export const SCHEMA_VERSION = 1

/** What was opened and is not to be understood: nobody's session, and left as it is for a release that understands it. */
export class Unreadable {
  readonly why: string

  constructor(why: string) {
    this.why = why
  }
}

type Fields = Readonly<Record<string, unknown>>
type Shape = Readonly<Record<string, (v: unknown) => boolean>>

const text = (v: unknown): boolean => typeof v === 'string'
const number = (v: unknown): boolean => Number.isFinite(v)
const object = (v: unknown): boolean => typeof v === 'object' && v !== null && !Array.isArray(v)
const texts = (v: unknown): boolean => Array.isArray(v) && v.every(text)

const RECORD: Shape = {
  handle: text,
  provider: text,
  issuer: text,
  sub: text,
  origin: text,
  createdAt: number,
  expiresAt: number,
}
const STATE: Shape = { identity: object, authTime: number, scopes: texts, failed: texts }
const TOKEN: Shape = { i: text, s: text, t: text, y: text, a: texts, c: texts, r: number }

function parse(stored: string, shape: Shape): (Fields & { readonly v: number }) | Unreadable {
  let value: unknown
  try {
    value = JSON.parse(stored)
  } catch {
    return new Unreadable('malformed')
  }
  if (!object(value)) return new Unreadable('malformed')
  const fields = value as Fields
  // Tokens of the first release carry none.
  const v = fields['v'] ?? 1
  if (typeof v !== 'number' || !Number.isInteger(v)) return new Unreadable('malformed')
  if (Math.abs(v - SCHEMA_VERSION) > 1) return new Unreadable(`schema version ${v}`)
  for (const [name, fits] of Object.entries(shape)) if (!fits(fields[name])) return new Unreadable(`malformed: ${name}`)
  return { ...fields, v }
}

/** What is written says the newest release that had a hand in it: its fields are still there. */
function newest(v: number | undefined): number {
  return Math.max(v ?? 0, SCHEMA_VERSION)
}

export function writeState(s: SessionState): string {
  return JSON.stringify({ ...s, v: newest(s.v) })
}

export function readState(stored: string): SessionState | Unreadable {
  const read = parse(stored, STATE)
  if (read instanceof Unreadable) return read
  const { v, ...state } = read
  return (v > SCHEMA_VERSION ? { ...state, v } : state) as unknown as SessionState
}

export function writeRecord(r: SessionRecord): string {
  return JSON.stringify({ ...r, v: newest(r.v) })
}

export function readRecord(stored: string): SessionRecord | Unreadable {
  const read = parse(stored, RECORD)
  return read instanceof Unreadable ? read : (read as unknown as SessionRecord)
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
  const fields: TokenText = {
    i: t.id,
    s: t.service,
    t: t.value.reveal(),
    y: t.type,
    a: t.audiences,
    c: t.scopes,
    r: t.receivedAt,
    ...(t.expiresAt === undefined ? {} : { e: t.expiresAt }),
  }
  return JSON.stringify({ v: SCHEMA_VERSION, ...fields, ...t.unknown })
}

export function readToken(stored: string): ServiceToken | Unreadable {
  const read = parse(stored, TOKEN)
  if (read instanceof Unreadable) return read
  const { v, i, s, t, y, a, c, r, e, ...others } = read as unknown as TokenText & { v: number }
  const unknown = v > SCHEMA_VERSION ? { ...others, v } : others
  return {
    id: i as TokenId,
    service: s,
    value: secret(t),
    type: y,
    audiences: a,
    scopes: c,
    receivedAt: r as EpochMs,
    expiresAt: e as EpochMs | undefined,
    ...(Object.keys(unknown).length === 0 ? {} : { unknown }),
  }
}
