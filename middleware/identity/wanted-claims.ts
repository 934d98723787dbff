import type { ProviderSettings, Settings } from '../../config/types.ts'
import { PRESETS } from './header-names.ts'

/**
 * Claim paths that somebody acts on: `userinfo: auto` asks userinfo where the id token lacks one. Groups count where the
 * operator said where they stand, or asks for some; else most providers would be asked for a claim they do not have.
 */
export function wantedClaims(settings: Settings, provider: ProviderSettings): readonly string[] {
  const { preset, map, user, groupsClaim } = settings.identity
  const named = user === 'preferred_username' || Object.values(PRESETS[preset]).includes('preferred_username')
  const requires = [...settings.routes, ...settings.services.values(), provider].map((x) => x.require)
  const groups = groupsClaim !== 'groups' || requires.some((r) => r.groups.length > 0)
  return [
    ...new Set([
      'email',
      'name',
      ...(named ? ['preferred_username'] : []),
      ...(groups ? [groupsClaim] : []),
      ...Object.values(map),
      ...requires.flatMap((r) => Object.keys(r.claims)),
    ]),
  ]
}
