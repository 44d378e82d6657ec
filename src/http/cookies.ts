// The cookies: who is signed in, which browser this is, and who signed in in it before. All are `__Host-` (RFC 6265bis
// §4.1.3.2): Secure, no Domain, Path=/, so that no other host can set or read them. Tenants that share an origin have names of
// their own, since the prefix allows no other path.
import { baseOf } from '../people/tenants.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Secret } from '../base/secret.ts'
import { Secret as SecretValue } from '../base/secret.ts'

/** A signed-in person. */
export const sessionCookie = '__Host-lk_session'
/** This browser, before and after sign-in; flows and forms are bound to it. */
export const browserCookie = '__Host-lk_browser'
/** Who signed in in this browser before; it proves nothing but that, and gives them tries of their own. */
export const knownCookie = '__Host-lk_known'

const cookieBytesMaximum = 512

type CookieName = typeof sessionCookie | typeof browserCookie | typeof knownCookie

/** What a cookie is called in this tenant. */
export function cookieNameIn(tenant: Tenant, name: CookieName): string {
  return baseOf(tenant) === '' ? name : `${name}_${tenant.slug}`
}

/** The value of a cookie of this tenant, if the request has it exactly once. */
export function readCookie(tenant: Tenant, request: Request, kind: CookieName): Secret | undefined {
  const name = cookieNameIn(tenant, kind)
  const values = (request.headers.get('cookie') ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))
  const [value] = values
  const isUsable = values.length === 1 && value !== undefined && value.length <= cookieBytesMaximum
  return isUsable && value !== '' ? new SecretValue(value) : undefined
}

/** A Set-Cookie line; without `maxAgeS` it lasts as long as the browser runs. */
export function writeCookie(
  tenant: Tenant,
  name: CookieName,
  value: Secret,
  maxAgeS?: number,
): string {
  const age = maxAgeS === undefined ? '' : `; Max-Age=${maxAgeS}`
  return `${cookieNameIn(tenant, name)}=${value.reveal()}; Path=/; Secure; HttpOnly; SameSite=Lax${age}`
}

/** A Set-Cookie line that removes it. */
export function clearCookie(tenant: Tenant, name: CookieName): string {
  return `${cookieNameIn(tenant, name)}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0`
}
