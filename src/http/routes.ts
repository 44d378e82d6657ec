// All rows in one list: what the router serves and what the tests walk.
import type { Clock } from '../base/clock.ts'
import type { Keyring } from '../base/keyring.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Connections } from '../connectors/connections.ts'
import type { Servers } from '../connectors/servers.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Issuer } from '../issuer/issuer.ts'
import type { Resources } from '../issuer/resources.ts'
import type { AttemptList } from '../journal/attempt-list.ts'
import type { Attempts } from '../journal/attempts.ts'
import type { CallContents } from '../journal/call-contents.ts'
import type { AskCallUsage } from '../journal/call-usage.ts'
import type { Journal } from '../journal/entries.ts'
import type { SearchJournal } from '../journal/search.ts'
import type { Usage } from '../journal/usage.ts'
import type { Webhooks } from '../journal/webhooks.ts'
import type { ApiKeyAdministration } from '../people/api-key-administration.ts'
import type { ApiKeys } from '../people/api-keys.ts'
import type { Arrive, Join } from '../people/arrivals.ts'
import type { ProviderGrants } from '../people/provider-grants.ts'
import type { Providers } from '../people/providers.ts'
import type { Sessions } from '../people/sessions.ts'
import type { Setup } from '../people/setup.ts'
import type { UserAdministration } from '../people/user-administration.ts'
import type { TenantAdministration } from '../people/tenant-administration.ts'
import type { SupportRequests } from '../people/support-requests.ts'
import type { Users } from '../people/users.ts'
import type { Database } from '../store/database.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { accessRoutes } from './api/access.ts'
import { callContentRoutes } from './api/call-contents.ts'
import { clientRoutes } from './api/clients.ts'
import { connectionRoutes } from './api/connections.ts'
import { eventRoutes } from './api/events.ts'
import { providerRoutes } from './api/providers.ts'
import { identityTokenRoutes } from './api/identity-tokens.ts'
import { openApiRoutes } from './api/openapi.ts'
import { scopeRoutes } from './api/scopes.ts'
import { serverRoutes } from './api/servers.ts'
import { tenantRoutes } from './api/tenants.ts'
import { supportRoutes } from './api/support-requests.ts'
import { trustedIssuerRoutes } from './api/trusted-issuers.ts'
import { userRoutes } from './api/users.ts'
import { usageRoutes } from './api/usage.ts'
import { webhookRoutes } from './api/webhooks.ts'
import { createForms } from './forms.ts'
import { graphqlRoutes } from './graphql/route.ts'
import { mcpRoutes } from './mcp.ts'
import { authorizeRoutes } from './oauth/authorize.ts'
import { backchannelLogoutRoutes } from './oauth/backchannel-logout.ts'
import { deviceRoutes } from './oauth/device.ts'
import { discoveryRoutes } from './oauth/discovery.ts'
import { registrationRoutes } from './oauth/registration.ts'
import { tokenRoutes } from './oauth/token.ts'
import { userInfoRoutes } from './oauth/userinfo.ts'
import { createOpenStreams } from './open-streams.ts'
import { operationRoutes } from './operations.ts'
import { apiKeyPages } from './pages/api-keys.ts'
import { appPages } from './pages/apps.ts'
import { assetRoutes } from './pages/assets.ts'
import { attemptPages } from './pages/attempts.ts'
import { clientPages } from './pages/clients.ts'
import { connectRoutes } from './pages/connect.ts'
import { connectClientPages } from './pages/connect-client.ts'
import { connectionPages } from './pages/connections.ts'
import { devicePages } from './pages/device.ts'
import { journalPages } from './pages/journal.ts'
import { peoplePages } from './pages/people.ts'
import { providerPages } from './pages/providers.ts'
import { serverPages } from './pages/server.ts'
import { serversPages } from './pages/servers.ts'
import { providerSignInRoutes } from './pages/provider-sign-in.ts'
import { scopePages } from './pages/scopes.ts'
import { signInRoutes } from './pages/sign-in.ts'
import { createSignInTries } from './pages/sign-in-tries.ts'
import { supportPages } from './pages/support.ts'
import { webhookPages } from './pages/webhook.ts'
import { webhooksPages } from './pages/webhooks.ts'
import type { Route } from './route.ts'

/** Everything that handlers may use. */
export interface RouteNeeds {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly keyring: Keyring
  readonly log: Log
  readonly journal: Journal
  readonly webhooks: Webhooks
  readonly tenantAdministration: TenantAdministration
  readonly users: Users
  readonly administration: UserAdministration
  readonly providers: Providers
  readonly providerGrants: ProviderGrants
  readonly arrive: Arrive
  readonly joinIdentity: Join
  readonly sessions: Sessions
  readonly apiKeys: ApiKeys
  readonly apiKeyAdministration: ApiKeyAdministration
  readonly setup: Setup
  readonly support: SupportRequests
  readonly issuer: Issuer
  readonly resources: Resources
  readonly servers: Servers
  readonly connections: Connections
  readonly upstream: Pick<Upstream, 'subjectTokens' | 'signIns'>
  readonly gateway: Gateway
  readonly attempts: Attempts
  readonly attemptList: AttemptList
  readonly searchJournal: SearchJournal
  readonly usage: Usage
  readonly callUsage: AskCallUsage
  readonly callContents: Pick<CallContents, 'list' | 'read'>
  readonly measurements: () => Promise<string>
}

/** Makes every row of every door. */
export function createRoutes(needs: RouteNeeds): readonly Route[] {
  const forms = createForms(needs)
  const streams = createOpenStreams()
  const withForms = { ...needs, forms }
  const rows = [
    ...discoveryRoutes(needs),
    ...authorizeRoutes(needs),
    ...tokenRoutes(needs),
    ...registrationRoutes(needs),
    ...deviceRoutes(needs),
    ...userInfoRoutes(needs),
    ...backchannelLogoutRoutes(needs),
    ...mcpRoutes(needs),
    ...serverRoutes(needs),
    ...connectionRoutes(needs),
    ...identityTokenRoutes(needs),
    ...accessRoutes(needs),
    ...usageRoutes(needs),
    ...callContentRoutes(needs),
    ...userRoutes(needs),
    ...webhookRoutes(needs),
    ...eventRoutes({ ...needs, streams }),
    ...graphqlRoutes({ ...needs, streams }),
    ...clientRoutes(needs),
    ...trustedIssuerRoutes(needs),
    ...scopeRoutes(needs),
    ...tenantRoutes(needs),
    ...supportRoutes(needs),
    ...providerRoutes(needs),
    ...signInRoutes({ ...withForms, tries: createSignInTries(needs) }),
    ...providerSignInRoutes(withForms),
    ...connectionPages(withForms),
    ...appPages(withForms),
    ...connectClientPages(needs),
    ...serversPages(withForms),
    ...serverPages(withForms),
    ...peoplePages(withForms),
    ...apiKeyPages(withForms),
    ...clientPages(withForms),
    ...scopePages(withForms),
    ...providerPages(withForms),
    ...webhooksPages(withForms),
    ...webhookPages(withForms),
    ...supportPages(withForms),
    ...attemptPages(needs),
    ...journalPages({ ...withForms, streams }),
    ...connectRoutes(withForms),
    ...devicePages(withForms),
    ...operationRoutes(needs),
    ...assetRoutes(),
  ]
  return [...rows, ...openApiRoutes(rows)]
}
