/**
 * Domains below which anybody gets a name. Browsers go by the Public Suffix List (RFC 6265 §5.3, step 5); this is the part of
 * it that people write by mistake, so that the start tells what a browser would do in silence. What is missing here is refused
 * by the browser all the same.
 */
const COUNTRY_SECOND_LEVEL = new Set('ac co com edu gob gov gv ltd mil ne net or org plc sch'.split(' '))
const HOSTED = new Set(
  (
    'github.io gitlab.io pages.dev workers.dev herokuapp.com vercel.app netlify.app azurewebsites.net cloudfront.net ' +
    'appspot.com web.app firebaseapp.com run.app fly.dev onrender.com ngrok.io ngrok-free.app ' +
    'blogspot.com trafficmanager.net cloudapp.net azurestaticapps.net elasticbeanstalk.com amplifyapp.com'
  ).split(' '),
)

/** Whether a browser is known to refuse a cookie for all of `domain` (lower case). */
export function isPublicSuffix(domain: string): boolean {
  const [first = '', second, third] = domain.split('.')
  if (second === undefined) return true
  if (HOSTED.has(domain)) return true
  return third === undefined && second.length === 2 && COUNTRY_SECOND_LEVEL.has(first)
}
