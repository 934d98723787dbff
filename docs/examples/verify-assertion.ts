/** How an upstream verifies `X-Identity-Assertion` with jose. docs/identity.md says what each claim is. */
import { createRemoteJWKSet, jwtVerify, type JWTPayload } from 'jose'

/**
 * @param jwksUrl the service's `/auth/jwks`, by whatever address this upstream reaches it.
 * @param expected `issuer`: the first `public_url`. `audience`: this upstream's own, from `service_audiences`.
 * @returns who is asking; throws where the assertion is not good, which is a 401.
 */
export function createVerifier(
  jwksUrl: URL,
  expected: { readonly issuer: string; readonly audience: string },
): (assertion: string | undefined) => Promise<JWTPayload> {
  // Keys are fetched once and again at an unknown `kid`, so that a rotated secret needs nothing here.
  const keys = createRemoteJWKSet(jwksUrl)
  return async (assertion) => {
    if (assertion === undefined) throw new Error('no X-Identity-Assertion came')
    const { payload } = await jwtVerify(assertion, keys, {
      ...expected,
      algorithms: ['ES256'],
      typ: 'bff-identity+jwt',
      requiredClaims: ['sub', 'exp', 'iat', 'idp_iss'],
      clockTolerance: '5s',
    })
    return payload
  }
}
