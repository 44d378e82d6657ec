// Where a provider of the tenant says that a session of somebody there has ended (OIDC Back-Channel Logout 1.0 §2.5).
import { callersFault } from '../../base/fault.ts'
import { Secret } from '../../base/secret.ts'
import { readParameters, requireNoRepeats } from '../../oauth/parameters.ts'
import type { ProviderGrants } from '../../people/provider-grants.ts'
import type { Providers } from '../../people/providers.ts'
import { empty } from '../answers.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

interface Needs {
  readonly providers: Pick<Providers, 'bySlug'>
  readonly providerGrants: Pick<ProviderGrants, 'signedOutThere'>
}

/** The row of back-channel logout. */
export function backchannelLogoutRoutes({ providers, providerGrants }: Needs): readonly Route[] {
  return [
    route({
      guard: 'open',
      surface: 'oauth',
      method: 'POST',
      path: '/oauth/backchannel-logout/{provider}',
      words: 'Takes a provider’s word that a person’s session there has ended.',
      run: async ({ tenant, params, body }) => {
        const parameters = readParameters(new URLSearchParams(body))
        requireNoRepeats(parameters)
        const token = parameters.get('logout_token')
        if (token === undefined) throw callersFault('invalid_request', 'there is no logout_token')
        const provider = await providers.bySlug(tenant, params['provider'] ?? '')
        await providerGrants.signedOutThere(tenant, provider, new Secret(token))
        return empty(200)
      },
    }),
  ]
}
