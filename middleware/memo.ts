/**
 * A pure function of a text with its answers kept, for questions that the same few texts ask with every request. Clients may
 * send any text, so no more than `most` are kept, none of them longer than `longest` characters; the others are worked out.
 */
export function memoize<V extends string | boolean>(
  of: (text: string) => V,
  most: number,
  longest: number,
): (text: string) => V {
  const kept = new Map<string, V>()
  return (text) => {
    const before = kept.get(text)
    if (before !== undefined) return before
    const answer = of(text)
    if (kept.size < most && text.length <= longest) kept.set(text, answer)
    return answer
  }
}
