// What an operator writes of a tenant, checked and as it is stored. Every refusal names the field and what it should be.
import { Fault } from '../base/fault.ts'
import type { TenantRow } from '../store/schema.ts'
import { pathOfSlug } from './tenants.ts'
import type { Tenant } from './tenants.ts'
import { addressIn } from './users.ts'

/** What may change; null takes back what was set. */
export interface TenantChange {
  readonly name?: string
  /** Its origin, byte for byte (RFC 8414 §2): https, or http on loopback; or `/t/{slug}` at the default tenant's. */
  readonly issuer?: string
  readonly accent?: string | null
  readonly logoUrl?: string | null
  readonly supportContact?: string | null
  readonly limitScale?: number | null
  /** For how many whole days the content of calls is kept, 1 to 90. */
  readonly callContentDays?: number | null
  readonly disabled?: boolean
}

export type NewTenant = Omit<TenantChange, 'disabled'> & {
  /** How operators call it: 6 to 36 small letters, digits and hyphens. */
  readonly slug: string
  readonly issuer: string
}

type Described = Omit<TenantRow, 'id' | 'created_at' | 'disabled_at'>

/** The columns of a new tenant. Throws Fault('invalid_input'). */
export function describeNew(
  { slug, issuer, name = slug, ...rest }: NewTenant,
  home: Tenant,
): Described {
  return {
    slug: requireSlug(slug),
    issuer: requireIssuer(issuer, { slug, home }),
    name: requireName(name),
    accent: null,
    logo_url: null,
    support_contact: null,
    limit_percent: null,
    call_content_days: null,
    ...describeChange(rest, { slug, home }),
  }
}

/** What decides where a tenant may be without a host of its own. */
interface Whereabouts {
  readonly slug: string
  /** The default tenant. */
  readonly home: Pick<Tenant, 'issuer'>
}

/** The columns that a change of this tenant writes. Throws Fault('invalid_input'). */
export function describeChange(
  change: Omit<TenantChange, 'disabled'>,
  whereabouts: Whereabouts,
): Partial<Described> {
  const { name, issuer, accent, logoUrl, supportContact, limitScale, callContentDays } = change
  return {
    ...(name === undefined ? {} : { name: requireName(name) }),
    ...(issuer === undefined ? {} : { issuer: requireIssuer(issuer, whereabouts) }),
    ...(accent === undefined ? {} : { accent: accent && requireAccent(accent) }),
    ...(logoUrl === undefined ? {} : { logo_url: logoUrl && requireLogo(logoUrl) }),
    ...(supportContact === undefined
      ? {}
      : { support_contact: supportContact && requireContact(supportContact) }),
    ...(limitScale === undefined
      ? {}
      : { limit_percent: limitScale === null ? null : requirePercent(limitScale) }),
    ...(callContentDays === undefined
      ? {}
      : { call_content_days: callContentDays === null ? null : requireDays(callContentDays) }),
  }
}

// S4-15. A slug may become one label of a host name, so it has no hyphen at its ends (RFC 1123 §2.1).
const slugShape = /^[a-z0-9][a-z0-9-]{4,34}[a-z0-9]$/

function requireSlug(slug: string): string {
  if (slugShape.test(slug)) return slug
  throw invalid(
    'slug',
    'Use 6 to 36 small letters, digits and hyphens, with no hyphen at the ends.',
  )
}

const nameMax = 100

function requireName(name: string): string {
  const isText = name.trim() !== '' && name.length <= nameMax && !/\p{Cc}/u.test(name)
  if (isText && name.isWellFormed()) return name.trim()
  throw invalid('name', `Enter a name of at most ${nameMax} characters.`)
}

const issuerMax = 255
const loopbackNames = /^(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])$/

function requireIssuer(issuer: string, { slug, home }: Whereabouts): string {
  // Written so and not otherwise: how requests name it is compared byte for byte.
  if (issuer === home.issuer + pathOfSlug(slug)) return issuer
  const url = issuer.length <= issuerMax && URL.canParse(issuer) ? new URL(issuer) : undefined
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:'
  // A dot at the end makes another host of the same name, which no certificate and no Host header has.
  if (url === undefined || !isWeb || url.hostname.endsWith('.')) {
    throw invalid('issuer', 'Enter an origin such as https://acme.example.com.')
  }
  if (url.origin !== issuer) {
    const path = home.issuer + pathOfSlug(slug)
    throw invalid('issuer', `Write it as ${url.origin}, or as ${path} without a host of its own.`)
  }
  if (url.protocol === 'https:' || loopbackNames.test(url.hostname)) return issuer
  throw invalid('issuer', 'Use https: secrets travel to it. Only on loopback may it be http.')
}

function requireAccent(accent: string): string {
  if (/^#[0-9a-f]{6}$/i.test(accent)) return accent.toLowerCase()
  throw invalid('accent', 'Enter a colour such as #2f6fed.')
}

const urlMax = 2048

function requireLogo(logoUrl: string): string {
  const url = httpsUrl(logoUrl)
  if (url !== undefined) return url
  throw invalid('logoUrl', 'Enter an https URL.')
}

function requireContact(contact: string): string {
  const found = addressIn(contact) ?? httpsUrl(contact)
  if (found !== undefined) return found
  throw invalid('supportContact', 'Enter an e-mail address or an https URL.')
}

function httpsUrl(text: string): string | undefined {
  const url = text.length <= urlMax && URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.protocol === 'https:' && url.username === '' && url.password === ''
  return isPlain ? url.href : undefined
}

const scaleMax = 1000

function requirePercent(scale: number): number {
  const percent = Math.round(scale * 100)
  if (percent >= 1 && scale <= scaleMax) return percent
  throw invalid('limitScale', `Enter a number from 0.01 to ${scaleMax}.`)
}

const daysMax = 90

function requireDays(days: number): number {
  if (Number.isInteger(days) && days >= 1 && days <= daysMax) return days
  throw invalid('callContentDays', `Enter whole days from 1 to ${daysMax}.`)
}

function invalid(field: string, words: string): Fault {
  return new Fault('invalid_input', {
    because: `the ${field} of the tenant cannot be used`,
    detail: { [field]: words },
  })
}
