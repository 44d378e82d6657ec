// The tenants of a `latchkey.yaml`, checked: what each is, who administers it, and its servers. A secret stands there only as
// `${NAME}` of the environment, and is a Secret from here on.
import { z } from 'zod'
import { Secret } from '../base/secret.ts'
import { readYaml } from '../config.ts'
import type { Environment } from '../config.ts'

const text = z.string().max(2048)
const secret = z.string().max(4096)

const server = z.strictObject({
  slug: text,
  url: text,
  name: text.exactOptional(),
  auth: z.enum(['none', 'headers', 'oauth', 'provider']).exactOptional(),
  /** For `provider`: the slug of one of the tenant. */
  provider: text.exactOptional(),
  headers: z.record(z.string(), secret).exactOptional(),
  issuer: text.exactOptional(),
  clientId: text.exactOptional(),
  clientSecret: secret.exactOptional(),
  scopes: text.exactOptional(),
  tokenFormat: z.enum(['opaque', 'jwt']).exactOptional(),
})

const provider = z.strictObject({
  slug: text,
  kind: z.enum(['oidc', 'oauth2']),
  name: text,
  issuer: text.exactOptional(),
  authorizationEndpoint: text.exactOptional(),
  tokenEndpoint: text.exactOptional(),
  userinfoEndpoint: text.exactOptional(),
  emailsEndpoint: text.exactOptional(),
  clientId: text,
  clientSecret: secret.exactOptional(),
  scopes: text.exactOptional(),
  claims: z
    .strictObject({
      subject: text.exactOptional(),
      email: text.exactOptional(),
      emailVerified: text.exactOptional(),
      name: text.exactOptional(),
    })
    .exactOptional(),
  emailDomains: z.array(text).max(50).exactOptional(),
  emailsAreVerified: z.boolean().exactOptional(),
  linksVerifiedEmail: z.boolean().exactOptional(),
  keepsTokens: z.boolean().exactOptional(),
})

const tenant = z.strictObject({
  slug: text,
  /** The default tenant's is LATCHKEY_PUBLIC_URL. */
  url: text.exactOptional(),
  name: text.exactOptional(),
  branding: z
    .strictObject({
      accent: text.exactOptional(),
      logoUrl: text.exactOptional(),
      supportContact: text.exactOptional(),
    })
    .exactOptional(),
  limitScale: z.number().exactOptional(),
  /** `off` takes it back. */
  callContentDays: z.union([z.number(), z.literal('off')]).exactOptional(),
  /** E-mail addresses. */
  admins: z.array(text).max(100).exactOptional(),
  servers: z.array(server).max(1000).exactOptional(),
  /** Where its people sign in elsewhere. */
  providers: z.array(provider).max(50).exactOptional(),
})

const file = z.looseObject({ tenants: z.array(tenant).max(1000) })

export type WantedTenant = z.infer<typeof tenant>
type WrittenServer = z.infer<typeof server>
type WrittenProvider = z.infer<typeof provider>

/** A provider as the file wants it. */
export interface WantedProvider {
  readonly slug: string
  readonly facts: Omit<WrittenProvider, 'slug' | 'clientSecret'>
  readonly clientSecret: Secret | undefined
}

/** A server as the file wants it; what is secret comes from the environment. */
export interface WantedServer {
  readonly slug: string
  /** What can be compared with what is there. */
  readonly facts: Omit<WrittenServer, 'slug' | 'headers' | 'clientSecret'>
  readonly headers: Readonly<Record<string, Secret>>
  readonly clientSecret: Secret | undefined
}

/** Reads the tenants that a file wants. Throws an Error in plain words that names the place in the file. */
export function readWanted(path: string, { isSettings }: { readonly isSettings: boolean }) {
  const written = readYaml(path)
  const odd = Object.keys(written).find(
    (name) => name !== 'tenants' && !(isSettings && name.startsWith('LATCHKEY_')),
  )
  if (odd !== undefined) throw new Error(`${path}: ${odd} is nothing that "latchkey apply" knows.`)
  const { success, data, error } = file.safeParse(written)
  if (!success) throw new Error(`${path}: ${wordsOf(error)}`)
  refuseTwice(path, 'tenants', data.tenants)
  for (const { slug, servers = [], providers = [] } of data.tenants) {
    refuseTwice(path, `servers of ${slug}`, servers)
    refuseTwice(path, `providers of ${slug}`, providers)
  }
  return data.tenants
}

function wordsOf({ issues }: z.ZodError): string {
  const [first] = issues
  if (first === undefined) return 'it cannot be read'
  return `${first.path.map(String).join('.') || 'tenants'}: ${first.message}`
}

function refuseTwice(path: string, what: string, all: readonly { readonly slug: string }[]): void {
  const slugs = all.map(({ slug }) => slug)
  const twice = slugs.find((slug, index) => slugs.indexOf(slug) !== index)
  if (twice !== undefined) throw new Error(`${path}: ${twice} is twice among the ${what}.`)
}

/** A server of the file with its secrets. Throws an Error in plain words for a secret that is written out, or not set. */
export function readServer(
  { slug, headers = {}, clientSecret, ...facts }: WrittenServer,
  environment: Environment,
): WantedServer {
  const read = (name: string, value: string) =>
    expand(`${name} of the server ${slug}`, value, environment)
  return {
    slug,
    facts,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, read(`the header ${name}`, value)]),
    ),
    clientSecret: clientSecret === undefined ? undefined : read('clientSecret', clientSecret),
  }
}

/** A provider of the file with its secret. Throws as readServer. */
export function readProvider(
  { slug, clientSecret, ...facts }: WrittenProvider,
  environment: Environment,
): WantedProvider {
  const what = `clientSecret of the provider ${slug}`
  const read = clientSecret === undefined ? undefined : expand(what, clientSecret, environment)
  return { slug, facts, clientSecret: read }
}

const reference = /\$\{(?<name>[A-Za-z_][A-Za-z0-9_]*)\}/g

function expand(what: string, value: string, environment: Environment): Secret {
  const names = [...value.matchAll(reference)].map(({ groups }) => groups?.['name'] ?? '')
  // A file is kept, copied and shown; what is secret must not be in it.
  if (names.length === 0) throw new Error(`Write ${what} as \${NAME} of the environment.`)
  const missing = names.find((name) => (environment[name] ?? '') === '')
  if (missing !== undefined) throw new Error(`${missing} is not set, and ${what} needs it.`)
  return new Secret(value.replaceAll(reference, (_all, name: string) => environment[name] ?? ''))
}
