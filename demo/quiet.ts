/** Runs `work` without oidc-provider's warnings of what a demo does on purpose: keys and state in memory, a newer Node. */
export async function quietly<T>(work: () => T | Promise<T>): Promise<T> {
  const { warn, info } = console
  const unless =
    (say: typeof warn) =>
    (...text: unknown[]): void => {
      if (!text.some((t) => String(t).includes('oidc-provider'))) say(...text)
    }
  console.warn = unless(warn)
  console.info = unless(info)
  try {
    return await work()
  } finally {
    Object.assign(console, { warn, info })
  }
}
