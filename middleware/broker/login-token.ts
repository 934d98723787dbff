import type { LoginResult } from '../provider/types.ts'
import { type Clock, LOGIN_TOKEN, type ServiceToken } from '../types.ts'
import { loginToken } from './check-token.ts'

/** The access token a sign-in brought, for the session's LOGIN_TOKEN slot. Its audiences are told as they are. */
export function tokenFromLogin(
  o: { readonly clock: Clock; readonly random: (bytes: number) => Uint8Array },
  login: LoginResult,
): ServiceToken {
  const granted = {
    kind: 'ok' as const,
    accessToken: login.accessToken,
    tokenType: login.tokenType,
    scopes: login.scopes,
    ...(login.expiresInS === undefined ? {} : { expiresInS: login.expiresInS }),
  }
  return loginToken(o, LOGIN_TOKEN, { granted, asked: undefined, receivedAt: o.clock.wallMs() })
}
