import type { Code, LoginCode } from '../types.ts'

export type Language = 'en' | 'de'
export interface CodeText {
  readonly title: string
  readonly text: string
}

/** Every word a person reads, by code and language: one table, so that a test can want them all. */
export const CODE_TEXTS: Readonly<Record<Language, Readonly<Record<Code | LoginCode, CodeText>>>> = {
  en: {
    NO_SESSION: { title: 'Please sign in', text: 'This page is for people who have signed in.' },
    SESSION_EXPIRED: {
      title: 'Your session has ended',
      text: 'You were signed in, but not for ever. Sign in again to go on.',
    },
    STEP_UP_REQUIRED: {
      title: 'A stronger sign-in is needed',
      text: 'What you asked for wants a fresher or stronger sign-in than yours.',
    },
    NO_TOKEN_AVAILABLE: {
      title: 'This service is not available to you yet',
      text: 'You are signed in, but no access for this service could be obtained. Signing in again may help; if it does not, tell whoever runs this site.',
    },
    UPSTREAM_REJECTED_TOKEN: {
      title: 'The service did not accept the access',
      text: 'The service refused the access that was obtained for you.',
    },
    NO_ROUTE: { title: 'Nothing to see here', text: 'No route of this site leads to that address.' },
    FORBIDDEN: {
      title: 'You may not go there',
      text: 'You are signed in, but your account is not allowed to use this.',
    },
    CSRF_FAILED: {
      title: 'This request could not be trusted',
      text: 'It did not prove that it came from this site. Go back, reload the page and try again.',
    },
    BAD_REQUEST: {
      title: 'This request makes no sense here',
      text: 'Something about the address or the cookies is not as it should be.',
    },
    RATE_LIMITED: { title: 'Too many attempts', text: 'Please wait a little and try again.' },
    STORE_UNAVAILABLE: {
      title: 'We will be right back',
      text: 'Sessions cannot be read at the moment. You are not signed out; try again shortly.',
    },
    PROVIDER_UNAVAILABLE: {
      title: 'Sign-in is not available right now',
      text: 'The sign-in service does not answer. Try again shortly.',
    },
    UPSTREAM_UNAVAILABLE: {
      title: 'The service does not answer',
      text: 'The service behind this address is down or too slow. Try again shortly.',
    },
    LOGIN_UNKNOWN: {
      title: 'This sign-in was not started here',
      text: 'This browser holds no trace of the sign-in that just came back. Perhaps it was started in another browser, at another address of this site or in another environment, or cookies are off. Start again from here.',
    },
    LOGIN_EXPIRED: {
      title: 'This sign-in took too long',
      text: 'A sign-in must be finished within ten minutes. Start again.',
    },
    LOGIN_REPLAYED: {
      title: 'This sign-in was already used',
      text: 'Each sign-in works once, so reloading this page or going back to it does not. Start again.',
    },
    LOGOUT_STATE_MISMATCH: {
      title: 'This is not the sign-out that you began',
      text: 'The sign-in service answered a sign-out that this browser did not ask for. If you meant to sign out, do it again from here.',
    },
    LOGIN_ISSUER_MISMATCH: {
      title: 'The answer came from the wrong place',
      text: 'The answer does not come from the sign-in service that was asked. Nothing was accepted.',
    },
    LOGIN_FAILED: {
      title: 'Sign-in did not work',
      text: 'The sign-in service gave an answer that could not be accepted. Try again; if it goes on, tell whoever runs this site.',
    },
    LOGIN_NOT_ALLOWED: {
      title: 'This account may not sign in here',
      text: 'You signed in correctly, but this account is not allowed on this site. You can use another account.',
    },
    INVALID_REQUEST: {
      title: 'The sign-in service did not understand',
      text: 'It called the request invalid. This is for whoever runs this site to mend.',
    },
    UNAUTHORIZED_CLIENT: {
      title: 'This site is not allowed to ask',
      text: 'The sign-in service does not let this site sign people in this way. This is for whoever runs this site to mend.',
    },
    ACCESS_DENIED: {
      title: 'Sign-in was refused',
      text: 'You, or the sign-in service, said no. You can try again or use another account.',
    },
    UNSUPPORTED_RESPONSE_TYPE: {
      title: 'The sign-in service cannot do this',
      text: 'It does not support this kind of sign-in. This is for whoever runs this site to mend.',
    },
    INVALID_SCOPE: {
      title: 'The sign-in service refused a permission',
      text: 'This site asked for a permission that the sign-in service does not know or give. This is for whoever runs this site to mend.',
    },
    SERVER_ERROR: { title: 'The sign-in service failed', text: 'It reported an error of its own. Try again shortly.' },
    TEMPORARILY_UNAVAILABLE: {
      title: 'The sign-in service is busy',
      text: 'It cannot answer at the moment. Try again shortly.',
    },
    INTERACTION_REQUIRED: {
      title: 'The sign-in service wants to ask you something',
      text: 'A silent sign-in was not possible. Sign in again and answer it.',
    },
    LOGIN_REQUIRED: {
      title: 'Please sign in',
      text: 'A silent sign-in was not possible, since you are not signed in at the sign-in service.',
    },
    ACCOUNT_SELECTION_REQUIRED: {
      title: 'Please choose an account',
      text: 'A silent sign-in was not possible, since an account must be chosen.',
    },
    CONSENT_REQUIRED: {
      title: 'Your consent is needed',
      text: 'A silent sign-in was not possible, since the sign-in service needs your consent first.',
    },
    INVALID_REQUEST_URI: {
      title: 'The sign-in request was gone',
      text: 'It can be used once and not for long. Start again.',
    },
    INVALID_REQUEST_OBJECT: {
      title: 'The sign-in request was not accepted',
      text: 'The sign-in service found it invalid. This is for whoever runs this site to mend.',
    },
    REQUEST_NOT_SUPPORTED: {
      title: 'The sign-in service cannot do this',
      text: 'It does not take signed requests. This is for whoever runs this site to mend.',
    },
    REQUEST_URI_NOT_SUPPORTED: {
      title: 'The sign-in service cannot do this',
      text: 'It does not take requests by reference. This is for whoever runs this site to mend.',
    },
    REGISTRATION_NOT_SUPPORTED: {
      title: 'The sign-in service cannot do this',
      text: 'It does not take registrations on the way. This is for whoever runs this site to mend.',
    },
    UNSUPPORTED_GRANT_TYPE: {
      title: 'This way of signing in is not available',
      text: 'The sign-in service does not offer it. Use another way, or tell whoever runs this site.',
    },
    INVALID_TARGET: {
      title: 'A service is not known to the sign-in service',
      text: 'This site asked for access to a service that the sign-in service does not know. This is for whoever runs this site to mend.',
    },
    INTERNAL_ERROR: {
      title: 'Something went wrong here',
      text: 'This is our fault. Try again; if it goes on, tell whoever runs this site the reference below.',
    },
    PROVIDER_ERROR: {
      title: 'The sign-in service reported an error',
      text: 'It said no in words that this site does not know. Try again; if it goes on, tell whoever runs this site.',
    },
  },
  de: {
    NO_SESSION: { title: 'Bitte anmelden', text: 'Diese Seite ist für angemeldete Personen.' },
    SESSION_EXPIRED: {
      title: 'Ihre Sitzung ist beendet',
      text: 'Sie waren angemeldet, aber nicht für immer. Melden Sie sich erneut an, um fortzufahren.',
    },
    STEP_UP_REQUIRED: {
      title: 'Eine stärkere Anmeldung ist nötig',
      text: 'Was Sie aufrufen, verlangt eine frischere oder stärkere Anmeldung als Ihre.',
    },
    NO_TOKEN_AVAILABLE: {
      title: 'Dieser Dienst steht Ihnen noch nicht zur Verfügung',
      text: 'Sie sind angemeldet, aber für diesen Dienst war kein Zugang zu erhalten. Eine neue Anmeldung kann helfen; sonst wenden Sie sich an die Betreiber dieser Seite.',
    },
    UPSTREAM_REJECTED_TOKEN: {
      title: 'Der Dienst hat den Zugang abgelehnt',
      text: 'Der Dienst hat den Zugang, der für Sie besorgt wurde, nicht angenommen.',
    },
    NO_ROUTE: { title: 'Hier ist nichts', text: 'Zu dieser Adresse führt auf dieser Seite kein Weg.' },
    FORBIDDEN: {
      title: 'Dorthin dürfen Sie nicht',
      text: 'Sie sind angemeldet, aber Ihr Konto darf dies nicht benutzen.',
    },
    CSRF_FAILED: {
      title: 'Dieser Anfrage war nicht zu trauen',
      text: 'Sie hat nicht belegt, dass sie von dieser Seite kommt. Gehen Sie zurück, laden Sie die Seite neu und versuchen Sie es noch einmal.',
    },
    BAD_REQUEST: {
      title: 'Diese Anfrage ergibt hier keinen Sinn',
      text: 'Etwas an der Adresse oder den Cookies ist nicht, wie es sein sollte.',
    },
    RATE_LIMITED: { title: 'Zu viele Versuche', text: 'Bitte warten Sie ein wenig und versuchen Sie es erneut.' },
    STORE_UNAVAILABLE: {
      title: 'Wir sind gleich wieder da',
      text: 'Sitzungen sind im Augenblick nicht lesbar. Sie sind nicht abgemeldet; versuchen Sie es gleich noch einmal.',
    },
    PROVIDER_UNAVAILABLE: {
      title: 'Die Anmeldung ist gerade nicht möglich',
      text: 'Der Anmeldedienst antwortet nicht. Versuchen Sie es gleich noch einmal.',
    },
    UPSTREAM_UNAVAILABLE: {
      title: 'Der Dienst antwortet nicht',
      text: 'Der Dienst hinter dieser Adresse ist ausgefallen oder zu langsam. Versuchen Sie es gleich noch einmal.',
    },
    LOGIN_UNKNOWN: {
      title: 'Diese Anmeldung wurde nicht hier begonnen',
      text: 'Dieser Browser weiß nichts von der Anmeldung, die eben zurückkam. Vielleicht begann sie in einem anderen Browser, unter einer anderen Adresse oder in einer anderen Umgebung, oder Cookies sind abgeschaltet. Beginnen Sie hier von vorn.',
    },
    LOGIN_EXPIRED: {
      title: 'Diese Anmeldung hat zu lange gedauert',
      text: 'Eine Anmeldung muss innerhalb von zehn Minuten abgeschlossen sein. Beginnen Sie von vorn.',
    },
    LOGIN_REPLAYED: {
      title: 'Diese Anmeldung wurde schon benutzt',
      text: 'Jede Anmeldung gilt einmal; neu laden oder zurückgehen hilft nicht. Beginnen Sie von vorn.',
    },
    LOGOUT_STATE_MISMATCH: {
      title: 'Das ist nicht die Abmeldung, die Sie begonnen haben',
      text: 'Der Anmeldedienst hat eine Abmeldung beantwortet, um die dieser Browser nicht gebeten hat. Wenn Sie sich abmelden wollten, tun Sie es von hier aus noch einmal.',
    },
    LOGIN_ISSUER_MISMATCH: {
      title: 'Die Antwort kam von der falschen Stelle',
      text: 'Die Antwort stammt nicht von dem Anmeldedienst, der gefragt wurde. Nichts davon wurde angenommen.',
    },
    LOGIN_FAILED: {
      title: 'Die Anmeldung ist nicht gelungen',
      text: 'Der Anmeldedienst gab eine Antwort, die nicht angenommen werden konnte. Versuchen Sie es erneut; sonst wenden Sie sich an die Betreiber dieser Seite.',
    },
    LOGIN_NOT_ALLOWED: {
      title: 'Dieses Konto darf sich hier nicht anmelden',
      text: 'Ihre Anmeldung war richtig, aber dieses Konto ist auf dieser Seite nicht zugelassen. Sie können ein anderes Konto verwenden.',
    },
    INVALID_REQUEST: {
      title: 'Der Anmeldedienst hat nicht verstanden',
      text: 'Er nannte die Anfrage ungültig. Das müssen die Betreiber dieser Seite beheben.',
    },
    UNAUTHORIZED_CLIENT: {
      title: 'Diese Seite darf nicht fragen',
      text: 'Der Anmeldedienst lässt diese Seite niemanden auf diese Weise anmelden. Das müssen die Betreiber dieser Seite beheben.',
    },
    ACCESS_DENIED: {
      title: 'Die Anmeldung wurde abgelehnt',
      text: 'Sie oder der Anmeldedienst haben nein gesagt. Sie können es erneut oder mit einem anderen Konto versuchen.',
    },
    UNSUPPORTED_RESPONSE_TYPE: {
      title: 'Der Anmeldedienst kann das nicht',
      text: 'Er unterstützt diese Art der Anmeldung nicht. Das müssen die Betreiber dieser Seite beheben.',
    },
    INVALID_SCOPE: {
      title: 'Der Anmeldedienst hat eine Berechtigung verweigert',
      text: 'Diese Seite hat um eine Berechtigung gebeten, die der Anmeldedienst nicht kennt oder nicht vergibt. Das müssen die Betreiber dieser Seite beheben.',
    },
    SERVER_ERROR: {
      title: 'Der Anmeldedienst hatte einen Fehler',
      text: 'Er meldete einen eigenen Fehler. Versuchen Sie es gleich noch einmal.',
    },
    TEMPORARILY_UNAVAILABLE: {
      title: 'Der Anmeldedienst ist überlastet',
      text: 'Er kann im Augenblick nicht antworten. Versuchen Sie es gleich noch einmal.',
    },
    INTERACTION_REQUIRED: {
      title: 'Der Anmeldedienst möchte Sie etwas fragen',
      text: 'Eine stille Anmeldung war nicht möglich. Melden Sie sich erneut an und antworten Sie.',
    },
    LOGIN_REQUIRED: {
      title: 'Bitte anmelden',
      text: 'Eine stille Anmeldung war nicht möglich, da Sie beim Anmeldedienst nicht angemeldet sind.',
    },
    ACCOUNT_SELECTION_REQUIRED: {
      title: 'Bitte ein Konto wählen',
      text: 'Eine stille Anmeldung war nicht möglich, da ein Konto gewählt werden muss.',
    },
    CONSENT_REQUIRED: {
      title: 'Ihre Zustimmung ist nötig',
      text: 'Eine stille Anmeldung war nicht möglich, da der Anmeldedienst erst Ihre Zustimmung braucht.',
    },
    INVALID_REQUEST_URI: {
      title: 'Die Anmeldeanfrage war verbraucht',
      text: 'Sie gilt einmal und nicht lange. Beginnen Sie von vorn.',
    },
    INVALID_REQUEST_OBJECT: {
      title: 'Die Anmeldeanfrage wurde nicht angenommen',
      text: 'Der Anmeldedienst fand sie ungültig. Das müssen die Betreiber dieser Seite beheben.',
    },
    REQUEST_NOT_SUPPORTED: {
      title: 'Der Anmeldedienst kann das nicht',
      text: 'Er nimmt keine signierten Anfragen. Das müssen die Betreiber dieser Seite beheben.',
    },
    REQUEST_URI_NOT_SUPPORTED: {
      title: 'Der Anmeldedienst kann das nicht',
      text: 'Er nimmt keine Anfragen per Verweis. Das müssen die Betreiber dieser Seite beheben.',
    },
    REGISTRATION_NOT_SUPPORTED: {
      title: 'Der Anmeldedienst kann das nicht',
      text: 'Er nimmt keine Registrierung unterwegs. Das müssen die Betreiber dieser Seite beheben.',
    },
    UNSUPPORTED_GRANT_TYPE: {
      title: 'Diese Art der Anmeldung gibt es nicht',
      text: 'Der Anmeldedienst bietet sie nicht an. Nehmen Sie einen anderen Weg, oder wenden Sie sich an die Betreiber dieser Seite.',
    },
    INVALID_TARGET: {
      title: 'Der Anmeldedienst kennt einen Dienst nicht',
      text: 'Diese Seite hat um Zugang zu einem Dienst gebeten, den der Anmeldedienst nicht kennt. Das müssen die Betreiber dieser Seite beheben.',
    },
    INTERNAL_ERROR: {
      title: 'Hier ist etwas schiefgegangen',
      text: 'Das liegt an uns. Versuchen Sie es erneut; sonst nennen Sie den Betreibern dieser Seite den Vorgang unten.',
    },
    PROVIDER_ERROR: {
      title: 'Der Anmeldedienst meldete einen Fehler',
      text: 'Er hat in Worten nein gesagt, die diese Seite nicht kennt. Versuchen Sie es erneut; sonst wenden Sie sich an die Betreiber dieser Seite.',
    },
  },
}

const EN = {
  signIn: 'Sign in',
  tryAgain: 'Try again',
  signInAgain: 'Sign in again',
  otherAccount: 'Use another account',
  signOut: 'Sign out',
  home: 'Go to the start page',
  clearCookies: 'Clear and sign in',
  signedInAs: 'Signed in as',
  code: 'Code',
  reference: 'Reference',
  signOutTitle: 'Sign out?',
  signOutText: 'You will be signed out of this site and, where it can, of the sign-in service.',
  signOutEverywhere: 'Sign out everywhere',
  signedOutTitle: 'You are signed out',
  signedOutText: 'See you.',
  leavingText: 'On to the sign-in service, to sign you out there too.',
  goOn: 'Go on',
  notSignedIn: 'You are not signed in.',
  sessionsTitle: 'Where you are signed in',
  thisSession: 'This session',
  endThis: 'End this session',
  signedIn: 'Signed in',
  lastSeen: 'Last seen',
  programOnSystem: '{program} on {system}',
  address: 'Address',
  unknownDevice: 'Unknown device',
  chooseTitle: 'How do you want to sign in?',
  twoCookies:
    'This browser sent two different session cookies, so it cannot be told which one is yours. Clear them and sign in again.',
} as const

const DE: Readonly<Record<keyof typeof EN, string>> = {
  signIn: 'Anmelden',
  tryAgain: 'Noch einmal versuchen',
  signInAgain: 'Neu anmelden',
  otherAccount: 'Anderes Konto verwenden',
  signOut: 'Abmelden',
  home: 'Zur Startseite',
  clearCookies: 'Löschen und anmelden',
  signedInAs: 'Angemeldet als',
  code: 'Code',
  reference: 'Vorgang',
  signOutTitle: 'Abmelden?',
  signOutText: 'Sie werden von dieser Seite und, wo möglich, vom Anmeldedienst abgemeldet.',
  signOutEverywhere: 'Überall abmelden',
  signedOutTitle: 'Sie sind abgemeldet',
  signedOutText: 'Bis bald.',
  leavingText: 'Weiter zum Anmeldedienst, damit Sie auch dort abgemeldet werden.',
  goOn: 'Weiter',
  notSignedIn: 'Sie sind nicht angemeldet.',
  sessionsTitle: 'Wo Sie angemeldet sind',
  thisSession: 'Diese Sitzung',
  endThis: 'Sitzung beenden',
  signedIn: 'Angemeldet',
  lastSeen: 'Zuletzt gesehen',
  programOnSystem: '{program} auf {system}',
  address: 'Adresse',
  unknownDevice: 'Unbekanntes Gerät',
  chooseTitle: 'Wie möchten Sie sich anmelden?',
  twoCookies:
    'Dieser Browser hat zwei verschiedene Sitzungs-Cookies gesendet; welches Ihres ist, lässt sich nicht sagen. Löschen Sie sie und melden Sie sich neu an.',
}

export const WORDS: Readonly<Record<Language, Readonly<Record<keyof typeof EN, string>>>> = { en: EN, de: DE }

/** The first language of Accept-Language that we have (RFC 9110 §12.5.4, by order of quality); English else. */
export function pickLanguage(acceptLanguage: string): Language {
  const ranked = acceptLanguage
    .slice(0, 500)
    .split(',')
    .map((part, order) => {
      const [tag = '', ...params] = part.trim().toLowerCase().split(';')
      const q = params.map((p) => /^\s*q=([\d.]+)/.exec(p)?.[1]).find((v) => v !== undefined)
      return { language: tag.split('-')[0], q: q === undefined ? 1 : Number(q), order }
    })
    .filter((l) => l.q > 0)
    .sort((a, b) => b.q - a.q || a.order - b.order)
  for (const { language } of ranked) if (language === 'en' || language === 'de') return language
  return 'en'
}
