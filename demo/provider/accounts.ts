/** People of the demo. Password of each: `demo`; one-time code where a stronger sign-in is asked for: 123456. */
export interface Account {
  readonly sub: string
  readonly claims: Readonly<Record<string, unknown>>
}

export const ACCOUNTS: ReadonlyMap<string, Account> = new Map(
  [
    { user: 'alice', name: 'Alice Doe', groups: ['staff', 'admins'], department: { name: 'Logistics' } },
    { user: 'bob', name: 'Bob Roe', groups: ['staff'], department: { name: 'Accounting' } },
  ].map(({ user, name, groups, department }) => [
    user,
    {
      sub: user,
      claims: {
        name,
        preferred_username: user,
        email: `${user}@demo.example`,
        email_verified: true,
        groups,
        department,
      },
    },
  ]),
)

export const PASSWORD = 'demo'
export const ONE_TIME_CODE = '123456'
export const ACR_PASSWORD = 'urn:demo:acr:password'
export const ACR_OTP = 'urn:demo:acr:otp'
