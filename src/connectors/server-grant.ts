// How the tokens of a server are got, as an administrator describes it: what each grant needs, and how that is kept.
import type { Keyring } from '../base/keyring.ts'
import type { Outbound } from '../base/outbound.ts'
import { Secret } from '../base/secret.ts'
import type { ServerRow } from '../store/schema.ts'
import { needsBrowser } from '../upstream/grant.ts'
import type { GrantType, IdentityProvider, OwnGrant } from '../upstream/grant.ts'
import { workloadTokenName } from '../upstream/workload-tokens.ts'
import { checkVisible, invalid } from './server-input.ts'
import type { IdentityProviderInput, ServerInput } from './server-input.ts'

/** What is kept of it, without secrets. */
export interface GrantSettings {
  readonly workloadToken?: string
  readonly identityProvider?: IdentityProvider
}

/** The column of what a grant needs besides our client. Throws Fault('invalid_input') for what is missing. */
export function grantSettingsColumn(
  outbound: Outbound,
  input: ServerInput,
  { hasKey }: { readonly hasKey: boolean },
): string | null {
  const { grantType = 'authorization_code', workloadToken, identityProvider } = input
  if (needsBrowser(grantType)) return null
  if (input.auth !== undefined && input.auth !== 'oauth') {
    throw invalid('grantType', 'Only a server with sign-in (auth: oauth) has a grant type.')
  }
  // C33: a client for programs is made at the provider by hand.
  if (input.clientId === undefined) throw invalid('clientId', 'Enter our client id there.')
  if (grantType === 'jwt_bearer') return jsonOf({ workloadToken: checkToken(workloadToken) })
  // C32, C33: it has something that proves it.
  if (input.clientSecret === undefined && !hasKey) {
    throw invalid('clientSecret', 'Enter the secret that proves this client, or give it a key.')
  }
  if (grantType === 'client_credentials') return null
  return jsonOf({ identityProvider: checkProvider(outbound, identityProvider) })
}

function jsonOf(settings: GrantSettings): string {
  return JSON.stringify(settings)
}

function checkToken(name: string | undefined): string {
  if (name !== undefined && workloadTokenName.test(name)) return name
  throw invalid('workloadToken', 'Enter the name of a file in the folder of workload tokens.')
}

function checkProvider(
  outbound: Outbound,
  given: IdentityProviderInput | undefined,
): IdentityProvider {
  const { issuer = '', tokenEndpoint = '', clientId = '' } = given ?? {}
  if (!URL.canParse(issuer) || !URL.canParse(tokenEndpoint) || clientId === '') {
    const words =
      'Enter the identity provider’s issuer and token endpoint, and our client id there.'
    throw invalid('identityProvider', words)
  }
  outbound.vet(issuer)
  outbound.vet(tokenEndpoint)
  return { issuer, tokenEndpoint, clientId: checkVisible('clientId', clientId) }
}

/** The column of our secret at the identity provider. */
export function providerSecretColumn(
  { keyring }: { readonly keyring: Keyring },
  server: { readonly tenantId: string; readonly id: string },
  { grantType, identityProvider }: ServerInput,
): string | null {
  const { clientSecret } = identityProvider ?? {}
  if (grantType !== 'id_jag' || clientSecret === undefined) return null
  return keyring.seal(new Secret(checkVisible('clientSecret', clientSecret)), placeOf(server))
}

/** Our secret at the identity provider. */
export function providerSecretOf(
  { keyring }: { readonly keyring: Keyring },
  { tenant_id: tenantId, id, provider_secret_sealed: sealed }: ServerRow,
): Secret | undefined {
  return sealed === null ? undefined : keyring.open(sealed, placeOf({ tenantId, id }))
}

/** What was kept, as it would be said again. */
export function grantInputOf(
  needs: { readonly keyring: Keyring },
  row: ServerRow,
): Pick<ServerInput, 'grantType' | 'workloadToken' | 'identityProvider'> {
  const { workloadToken, identityProvider } = grantSettingsOf(row)
  const clientSecret = providerSecretOf(needs, row)?.reveal()
  return {
    grantType: row.grant_type as GrantType, // only this room writes it
    workloadToken,
    identityProvider: identityProvider && { ...identityProvider, clientSecret },
  }
}

export function grantSettingsOf({ grant_settings: text }: ServerRow): GrantSettings {
  return text === null ? {} : (JSON.parse(text) as GrantSettings) // only this file writes it
}

/** The grant of a server where nobody signs in. */
export function ownGrantOf(row: ServerRow): OwnGrant {
  const { workloadToken, identityProvider } = grantSettingsOf(row)
  if (row.grant_type === 'client_credentials') return { kind: 'client_credentials' }
  if (workloadToken !== undefined) return { kind: 'jwt_bearer', workloadToken }
  if (identityProvider !== undefined) return { kind: 'id_jag', identityProvider }
  throw new Error(`a server of grant type ${row.grant_type} without what that needs`)
}

function placeOf({ tenantId, id }: { readonly tenantId: string; readonly id: string }) {
  return { tenant: tenantId, table: 'servers', row: id, column: 'provider_secret_sealed' }
}
