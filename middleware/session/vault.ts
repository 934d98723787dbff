import { secret } from '../../config/secret.ts'
import type { Clock, ServiceToken, TokenVault } from '../types.ts'
import { ID_TOKEN, REFRESH_TOKEN, type SessionBackend } from './backend.ts'
import type { Sealer } from './seal.ts'
import { readToken, Unreadable, writeToken } from './serialize.ts'

/** Tokens, each sealed for its session and slot. */
export function createVault(backend: SessionBackend, sealer: Sealer, clock: Clock): TokenVault {
  const slotOf = async (
    id: Parameters<TokenVault['idToken']>[0],
    slot: string,
  ): Promise<{ text: string; fence: number } | undefined> => {
    const stored = await backend.load(id)
    const sealed = stored?.slots[slot]
    const text = sealed === undefined ? undefined : sealer.open(sealed, 'slot', id, slot)
    return text === undefined || stored === undefined ? undefined : { text, fence: stored.fence }
  }
  return {
    refreshToken: async (id) => {
      const found = await slotOf(id, REFRESH_TOKEN)
      return found === undefined ? undefined : { token: secret(found.text), fence: found.fence }
    },
    idToken: async (id) => {
      const found = await slotOf(id, ID_TOKEN)
      return found === undefined ? undefined : secret(found.text)
    },
    keep: (id, token) => backend.putSlot(id, token.service, sealer.seal(writeToken(token), 'slot', id, token.service)),
    drop: (id, slot) => backend.putSlot(id, slot, undefined),
    rotate: (id, next, fence) => {
      const slots: Record<string, string> = {}
      const put = (slot: string, text: string): void => {
        slots[slot] = sealer.seal(text, 'slot', id, slot)
      }
      if (next.refreshToken !== undefined) put(REFRESH_TOKEN, next.refreshToken.reveal())
      if (next.idToken !== undefined) put(ID_TOKEN, next.idToken.reveal())
      for (const token of next.tokens) put(token.service, writeToken(token))
      return backend.rotate(id, slots, fence)
    },
    machineToken: async (service) => {
      const sealed = await backend.getShared(`machine|${service}`)
      const text = sealed === undefined ? undefined : sealer.open(sealed, 'machine', service)
      const token = text === undefined ? undefined : readToken(text)
      return token instanceof Unreadable ? undefined : token
    },
    keepMachineToken: async (service, token: ServiceToken) => {
      const lives = (token.expiresAt ?? clock.wallMs() + 300_000) - clock.wallMs()
      if (lives > 0)
        await backend.putShared(`machine|${service}`, sealer.seal(writeToken(token), 'machine', service), lives)
    },
  }
}
