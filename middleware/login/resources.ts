import type { Settings } from '../../config/types.ts'

/**
 * RFC 8707: every service's resource goes to the authorization endpoint, so that each can be asked for later, one at a
 * time, with the refresh token. A new service therefore works after the next sign-in, and nothing else is cleared (R15).
 */
export function resourcesAtLogin(settings: Settings): readonly string[] {
  const wanted = new Set<string>()
  for (const s of settings.services.values()) {
    if (s.audience === undefined || s.strategy === 'client_credentials') continue
    if (s.audienceParameter !== 'resource' && s.audienceParameter !== 'both') continue
    wanted.add(s.audience)
    for (const more of s.resources) wanted.add(more)
  }
  return [...wanted]
}
