/** The first that fits wins: most browsers name those that they descend from, too. */
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|CriOS|Chromium|HeadlessChrome)\//, 'Chrome'],
  [/\bVersion\/[\d.]+ .*\bSafari\//, 'Safari'],
]

const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\b(?:Macintosh|Mac OS X)\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
]

export interface Device {
  /** A browser's name, or that of another program, without its version. */
  readonly program: string | undefined
  readonly system: string | undefined
}

/**
 * What a person would call the device behind a User-Agent. Anybody may write one, so this is for recognizing one's own and
 * for nothing else.
 */
export function readDevice(userAgent: string): Device {
  const text = userAgent.slice(0, 400)
  const find = (table: typeof BROWSERS): string | undefined => table.find(([pattern]) => pattern.test(text))?.[1]
  const product = /^[A-Za-z][\w.-]{0,30}(?=\/|$)/.exec(text)?.[0]
  return { program: find(BROWSERS) ?? (product === 'Mozilla' ? undefined : product), system: find(SYSTEMS) }
}
