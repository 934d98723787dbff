import { checkAuth } from './auth.ts'
import { checkBearerIssuers } from './bearer.ts'
import type { Check, CheckContext } from './context.ts'
import { checkIdentity } from './identity.ts'
import { checkRequire } from './require.ts'
import { checkRoutes } from './routes.ts'
import { checkServer } from './server.ts'
import { checkServices } from './services.ts'
import { checkSession } from './session.ts'
import { checkDemoSecrets, checkUse } from './use.ts'

const CHECKS: readonly Check[] = [
  checkServer,
  checkAuth,
  checkSession,
  checkServices,
  checkIdentity,
  checkBearerIssuers,
  checkRoutes,
  checkRequire,
  checkUse,
]

/** All that a schema cannot say: what one key means for another, in both files. */
export function checkAll(c: CheckContext, rawSettings: unknown): void {
  for (const check of [...CHECKS, checkDemoSecrets(rawSettings)]) check(c)
}
