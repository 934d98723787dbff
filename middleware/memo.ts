/**
 * A pure function of a text with its answers kept, for questions that the same few texts ask with every request. Clients may
 * send any text, so no more than `most` are kept, none of them longer than `longest` characters; the others are worked out, by
 * `unkept` where an answer that is not kept can be had for less.
 */
export function memoize<V extends string | boolean>(
  of: (text: string) => V,
  most: number,
  longest: number,
  unkept: (text: string) => V = of,
): (text: string) => V {
  const kept = new Map<string, V>()
  return (text) => {
    const before = kept.get(text)
    if (before !== undefined) return before
    if (kept.size >= most || text.length > longest) return unkept(text)
    const answer = of(text)
    kept.set(text, answer)
    return answer
  }
}
