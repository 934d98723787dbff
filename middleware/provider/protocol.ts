/**
 * All that speaks with a provider, and with it openid-client and jose. Neither a start nor a warm check speaks with one, so
 * this is loaded when somebody is about to.
 */
export { verifyAccessToken } from './access-token.ts'
export { authorizationUrl } from './authorize.ts'
export { endSessionUrl, introspect, revoke, userinfo } from './calls.ts'
export { loadClientAuth } from './client-auth.ts'
export { configure, discover } from './configure.ts'
export { createKeys } from './keys.ts'
export { verifyLogoutToken } from './logout-token.ts'
export { redeem } from './redeem.ts'
export { createTlsFetch } from './tls-fetch.ts'
export { tokenRequest } from './token-request.ts'
