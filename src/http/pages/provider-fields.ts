// What the fields of the provider forms say, in the words of the room that keeps providers. Pure.
import type { NewProvider, ProviderChange, ProviderPlace } from '../../people/provider-input.ts'
import { presetOf } from '../../people/provider-presets.ts'
import type { Provider } from '../../people/providers.ts'

/** The kinds, for people. */
export const wordsOf: Readonly<Record<Provider['kind'], string>> = {
  oidc: 'OpenID Connect',
  oauth2: 'OAuth 2.0',
}

/** The addresses that stand in for metadata. */
export const endpointFields = [
  'authorizationEndpoint',
  'tokenEndpoint',
  'userinfoEndpoint',
  'emailsEndpoint',
] as const
/** What is ticked. */
export const ticks = ['emailsAreVerified', 'linksVerifiedEmail', 'keepsTokens'] as const
const texts = ['name', 'clientId', 'scopes'] as const

/** Where it is. A well-known provider that publishes nothing is filled in. */
export function placeOf(fields: URLSearchParams): ProviderPlace {
  const issuer = textIn(fields, 'issuer') ?? ''
  const entered = filled(fields, endpointFields)
  const preset = presetOf(issuer)
  const isWritten = Object.keys(entered).length > 0
  const kind = preset?.endpoints === undefined ? kindIn(fields) : preset.kind
  const endpoints = isWritten ? entered : preset?.endpoints
  return { kind, issuer, ...endpoints }
}

function kindIn(fields: URLSearchParams): Provider['kind'] {
  return fields.get('kind') === 'oauth2' ? 'oauth2' : 'oidc'
}

/** The provider that the form for a new one describes. */
export function providerOf(fields: URLSearchParams): NewProvider {
  const { name = '', clientId = '' } = filled(fields, texts)
  const scopes = fields.get('scopes')
  const clientSecret = textIn(fields, 'clientSecret')
  const place = placeOf(fields)
  const claims = presetOf(place.issuer)?.claims
  return {
    ...place,
    name,
    clientId,
    ...(clientSecret === undefined ? {} : { clientSecret }),
    ...(scopes === null ? {} : { scopes }),
    ...(claims === undefined ? {} : { claims }),
    ...Object.fromEntries(ticks.map((tick) => [tick, fields.get(tick) === 'on'])),
  }
}

/** Only what is otherwise than before; an empty secret stays as it is (S4-39). */
export function changeOf(provider: Provider, fields: URLSearchParams): ProviderChange {
  const said = filled(fields, [...texts, 'issuer', ...endpointFields])
  const changed = Object.entries(said).filter(([name, value]) => value !== shown(provider, name))
  const clientSecret = textIn(fields, 'clientSecret')
  const ticked = ticks
    .map((tick) => [tick, fields.get(tick) === 'on'] as const)
    .filter(([tick, isOn]) => isOn !== provider[tick])
  return {
    ...Object.fromEntries([...changed, ...ticked]),
    ...(clientSecret === undefined ? {} : { clientSecret }),
  }
}

function shown(provider: Provider, name: string): unknown {
  return (provider as unknown as Readonly<Record<string, unknown>>)[name] // whichever the form has
}

function filled<N extends string>(
  fields: URLSearchParams,
  names: readonly N[],
): Partial<Record<N, string>> {
  const said = names.map((name) => [name, textIn(fields, name)] as const)
  return Object.fromEntries(said.filter(([, value]) => value !== undefined)) as Partial<
    Record<N, string>
  > // the names that were asked for
}

function textIn(fields: URLSearchParams, name: string): string | undefined {
  const text = (fields.get(name) ?? '').trim()
  return text === '' ? undefined : text
}
