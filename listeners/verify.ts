import type { Composed } from '../compose.ts'
import { bugIn } from '../middleware/bug.ts'
import { verify } from '../middleware/mouths/verify.ts'
import type { Answer, Maybe, RawRequest } from '../middleware/types.ts'

/** The answer to a check. A bug is an answer too: 500 with its code, never a yes and never a hanging request. */
export function verifyAnswer(raw: RawRequest, now: Composed): Maybe<Answer> {
  const failed = (e: unknown): Answer => {
    now.verifyDeps.emit(bugIn('verify', e))
    return now.verifyDeps.errorAnswer(
      { code: 'INTERNAL_ERROR' },
      { wants: 'fetch', acceptLanguage: '', correlationId: '' },
    )
  }
  try {
    const answer = verify(raw, now.verifyDeps)
    return answer instanceof Promise ? answer.catch(failed) : answer
  } catch (e) {
    return failed(e)
  }
}

/** The path of a request target, without its query. */
export function pathOf(target: string): string {
  const mark = target.indexOf('?')
  return mark === -1 ? target : target.slice(0, mark)
}
