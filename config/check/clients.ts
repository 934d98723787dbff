import { createPrivateKey } from 'node:crypto'
import type { Place } from '../finding.ts'
import type { DraftClient } from '../schema/schema.ts'
import { checkKeyPair } from './server.ts'
import type { CheckContext } from './context.ts'

type Method = NonNullable<DraftClient['token_endpoint_auth_method']>

/** How a client authenticates, from the credential it has. Undefined where it has more than one. */
export function methodOf(client: DraftClient): Method | undefined {
  const has: Method[] = []
  if (client.client_secret !== undefined)
    has.push(client.token_endpoint_auth_method === 'client_secret_post' ? 'client_secret_post' : 'client_secret_basic')
  if (client.private_key !== undefined) has.push('private_key_jwt')
  if (client.tls_client !== undefined) has.push('tls_client_auth')
  return has.length > 1 ? undefined : (has[0] ?? 'none')
}

/** One way to authenticate, and what it needs. */
export function checkClient(c: CheckContext, at: Place, client: DraftClient): void {
  const method = methodOf(client)
  const said = client.token_endpoint_auth_method
  if (method === undefined)
    c.report.fault(at, {
      code: 'CREDENTIAL_TWICE',
      message: 'this client has more than one credential',
      mend: 'Keep one of client_secret, private_key, tls_client.',
    })
  else if (said !== undefined && said !== method)
    c.report.fault([...at, 'token_endpoint_auth_method'], {
      code: 'AUTH_METHOD',
      message: `this client’s credential is for ${method}`,
      mend: 'Remove token_endpoint_auth_method, or give the credential that it wants.',
    })
  if (client.private_key === undefined && (client.private_key_alg ?? client.private_key_kid) !== undefined)
    c.report.warn(at, {
      code: 'KEY_MISSING',
      message: '`private_key_alg` or `private_key_kid` is here and `private_key` is not',
    })
  if (client.private_key !== undefined && pkcs8(c, client.private_key.reveal()) === undefined)
    c.report.fault([...at, 'private_key'], {
      code: 'PRIVATE_KEY',
      message: '`private_key` is no private key in PEM, nor a file with one',
      mend: 'A text that begins with -----BEGIN, unencrypted, or a file relative to the config directory.',
    })
  if (client.tls_client === undefined) return
  checkKeyPair(c, [...at, 'tls_client'], client.tls_client.cert, client.tls_client.key)
  const { ca } = client.tls_client
  if (ca !== undefined && c.readFile(ca)?.includes('-----BEGIN CERTIFICATE-----') !== true)
    c.report.fault([...at, 'tls_client', 'ca'], {
      code: 'TLS_FILE',
      message: '`ca` names no PEM file with a certificate that can be read',
      mend: 'A path is relative to the config directory.',
    })
}

/** A private key as PKCS#8 in PEM, from its text or from the file that the text names. */
export function pkcs8(c: Pick<CheckContext, 'readFile'>, textOrFile: string): string | undefined {
  const pem = textOrFile.trimStart().startsWith('-----BEGIN') ? textOrFile : c.readFile(textOrFile)
  if (pem === undefined) return undefined
  try {
    return createPrivateKey(pem).export({ type: 'pkcs8', format: 'pem' })
  } catch {
    return undefined
  }
}
