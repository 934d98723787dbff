import { createPrivateKey } from 'node:crypto'
import * as client from 'openid-client'
import { importPKCS8 } from 'jose'
import type { ClientAuth, OAuthClient } from '../../config/types.ts'

/**
 * How a client proves itself (OpenID Connect Core §9). With `tls_client_auth` the certificate is the transport's
 * (tls-fetch.ts); here only the id is sent (RFC 8705 §2).
 */
export async function loadClientAuth(c: OAuthClient): Promise<client.ClientAuth> {
  switch (c.auth.kind) {
    case 'client_secret_basic':
      return client.ClientSecretBasic(c.auth.secret.reveal())
    case 'client_secret_post':
      return client.ClientSecretPost(c.auth.secret.reveal())
    case 'private_key_jwt': {
      const key = await importPKCS8(c.auth.key.reveal(), c.auth.alg ?? guessAlg(c.auth))
      return client.PrivateKeyJwt(c.auth.kid === undefined ? { key } : { key, kid: c.auth.kid })
    }
    case 'tls_client_auth':
      return client.TlsClientAuth()
    case 'none':
      return client.None()
  }
}

/** The usual algorithm of the key's type, where none is configured. */
function guessAlg(auth: Extract<ClientAuth, { kind: 'private_key_jwt' }>): string {
  const key = createPrivateKey(auth.key.reveal())
  switch (key.asymmetricKeyType) {
    case 'ec':
      return (
        { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }[key.asymmetricKeyDetails?.namedCurve ?? ''] ??
        'ES256'
      )
    case 'ed25519':
      return 'Ed25519'
    case 'rsa-pss':
      return 'PS256'
    default:
      return 'RS256'
  }
}
