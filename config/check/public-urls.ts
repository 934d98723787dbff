import type { Place } from '../finding.ts'
import type { DraftSettings } from '../schema/schema.ts'
import type { PublicUrl } from '../types.ts'
import { isLoopback } from '../values/net.ts'

/** Every configured origin of ours, and where it stands. */
export function publicUrls(s: DraftSettings): readonly { readonly url: PublicUrl; readonly at: Place }[] {
  const { public_url: one, public_urls: several } = s.server
  return [
    ...(one === undefined ? [] : [{ url: one, at: ['settings', 'server', 'public_url'] as const }]),
    ...(several ?? []).map((url, i) => ({ url, at: ['settings', 'server', 'public_urls', i] as const })),
  ]
}

/** Whether the whole service is for this machine alone: what is convenient there is a fault elsewhere. */
export function onLoopback(s: DraftSettings): boolean {
  return publicUrls(s).every(({ url }) => isLoopback(url.hostname))
}
