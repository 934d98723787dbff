import { decide } from '../decide/decide.ts'
import type { Answer, Asker, DecideDeps, Decision, ErrorAnswer, Maybe, RawRequest, RequestFacts } from '../types.ts'
import { answerNo, answerUnread, logAccess } from './answer.ts'
import { answerTraefikYes, readTraefikFacts } from './traefik.ts'

export interface VerifyDeps extends DecideDeps {
  readonly errorAnswer: ErrorAnswer
  readonly observe: (mouth: string, d: Decision, startedMonoMs: number) => void
}

/**
 * `/auth/verify`: facts of a raw request in, an answer out. It knows neither Express nor `(req, res)`, so that HTTP/1.1, an
 * HTTP/2 stream and other gateways can call it. Synchronous where the session and its token are warm.
 */
export function verify(raw: RawRequest, deps: VerifyDeps): Maybe<Answer> {
  const started = deps.clock.monoMs()
  const read = readTraefikFacts(raw, deps.now, deps)
  if (!read.ok) {
    deps.observe('traefik', read.refuse, started)
    if (read.refuse.why === 'untrusted_peer')
      deps.emit({ name: 'untrusted_peer', correlationId: read.correlationId, fields: { peer: raw.peer.address } })
    return answerUnread(read.refuse, stranger(read.correlationId), { ...deps })
  }
  const decided = decide(read.facts, deps)
  if (decided instanceof Promise) return decided.then((d) => answer(d, read.facts, deps, started))
  return answer(decided, read.facts, deps, started)
}

function answer(d: Decision, f: RequestFacts, deps: VerifyDeps, started: number): Answer {
  deps.observe(f.mouth, d, started)
  const a = d.kind === 'allow' ? answerTraefikYes(d, f) : answerNo(d, f, deps)
  logAccess(f, a.status, d.kind === 'allow' ? undefined : d.code, deps)
  return a
}

function stranger(correlationId: string): Asker {
  return { wants: 'fetch', acceptLanguage: '', correlationId }
}
