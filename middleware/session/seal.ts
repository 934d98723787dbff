import { createCipheriv, createDecipheriv } from 'node:crypto'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Seals texts so that a stolen database shows nothing usable. */
export interface Sealer {
  /** `place` is the associated data: what is sealed for one session and slot opens nowhere else. */
  seal(text: string, ...place: readonly string[]): string
  /** Undefined for anything that was changed, moved, or sealed under a key that is no longer listed. */
  open(sealed: string, ...place: readonly string[]): string | undefined
}

/** AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. The first key seals, all open. */
export function createSealer(keys: readonly Buffer[], random: (bytes: number) => Uint8Array): Sealer {
  const [first] = keys
  if (first === undefined) throw new Error('no key to seal with')
  return {
    seal: (text, ...place) => {
      const nonce = Buffer.from(random(NONCE_BYTES))
      const cipher = createCipheriv('aes-256-gcm', first, nonce).setAAD(aad(place))
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')
    },
    open: (sealed, ...place) => {
      const bytes = Buffer.from(sealed, 'base64url')
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
      for (const key of keys) {
        const text = tryOpen(bytes, key, aad(place))
        if (text !== undefined) return text
      }
      return undefined
    },
  }
}

function tryOpen(bytes: Buffer, key: Buffer, data: Buffer): string | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES)).setAAD(data)
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

/** Unambiguous: a length before each part, so that no two places share their data. */
function aad(place: readonly string[]): Buffer {
  return Buffer.from(place.map((p) => `${p.length}:${p}`).join('|'), 'utf8')
}
