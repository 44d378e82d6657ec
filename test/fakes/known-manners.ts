// How the known providers behave, from their documentation: what each refuses, and how it says what it grants.
import { knownMcpUrl } from './known-provider.ts'
import type { Manners } from './known-provider.ts'

const code = { response_types_supported: ['code'] }

// learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow; github.com/modelcontextprotocol/csharp-sdk/issues/741
// (AADSTS901002), github.com/anthropics/claude-code/issues/73460 (AADSTS9010010 and AADSTS650053).
const entraTenant = 'https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490'
export const entra: Manners = {
  namedIssuer: `${entraTenant}/v2.0`,
  metadataUrl: `${entraTenant}/v2.0/.well-known/openid-configuration`,
  metadata: {
    ...code,
    issuer: `${entraTenant}/v2.0`,
    authorization_endpoint: `${entraTenant}/oauth2/v2.0/authorize`,
    token_endpoint: `${entraTenant}/oauth2/v2.0/token`,
    token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
    scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
  },
  scopes: ['notes.read'],
  takesSecretIn: 'header',
  refusesRequest: (asked) => {
    if (asked.has('resource')) return 'invalid_target'
    const scopes = asked.get('scope')?.split(' ') ?? []
    // A bare scope is one of Microsoft Graph, which has none of this name.
    const isOurs = scopes.every(
      (scope) => scope === 'offline_access' || scope.startsWith(`${knownMcpUrl}/`),
    )
    return isOurs && scopes.length > 0 ? undefined : 'invalid_scope'
  },
  refusesTokenRequest: (form) => (form.has('resource') ? 'invalid_request' : undefined),
  says: ({ access, refresh, asked }) => {
    const scopes = asked.get('scope')?.split(' ') ?? []
    const stays = scopes.includes('offline_access')
    return {
      token_type: 'Bearer',
      scope: scopes.filter((scope) => scope !== 'offline_access').join(' '),
      expires_in: 3599,
      ext_expires_in: 3599,
      access_token: access,
      ...(stays ? { refresh_token: refresh } : {}),
    }
  },
}

// auth0.com/docs, “Resource Parameter Compatibility Profile”; support.auth0.com, “MCP Audience Error with Auth0”.
export const auth0: Manners = {
  namedIssuer: 'https://acme.eu.auth0.com',
  metadataUrl: 'https://acme.eu.auth0.com/.well-known/oauth-authorization-server',
  metadata: {
    ...code,
    issuer: 'https://acme.eu.auth0.com/',
    authorization_endpoint: 'https://acme.eu.auth0.com/authorize',
    token_endpoint: 'https://acme.eu.auth0.com/oauth/token',
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    code_challenge_methods_supported: ['S256', 'plain'],
    scopes_supported: ['openid', 'profile', 'offline_access'],
  },
  scopes: ['notes:read'],
  takesSecretIn: 'header',
  refusesRequest: (asked) => (asked.get('audience') === knownMcpUrl ? undefined : 'access_denied'),
  says: ({ access, refresh, asked }) => ({
    access_token: access,
    refresh_token: refresh,
    scope: asked.get('scope'),
    expires_in: 86_400,
    token_type: 'Bearer',
  }),
}

// developers.google.com/identity/protocols/oauth2/web-server#offline; github.com/github/copilot-cli/issues/4606 (the slash).
export const google: Manners = {
  namedIssuer: 'https://accounts.google.com/',
  metadataUrl: 'https://accounts.google.com/.well-known/oauth-authorization-server',
  metadata: {
    ...code,
    issuer: 'https://accounts.google.com',
    authorization_endpoint: 'https://accounts.google.com/o/oauth2/v2/auth',
    token_endpoint: 'https://oauth2.googleapis.com/token',
    token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
    code_challenge_methods_supported: ['plain', 'S256'],
  },
  scopes: ['https://www.googleapis.com/auth/calendar', 'offline_access'],
  takesSecretIn: 'header',
  refusesRequest: (asked) =>
    asked.get('scope')?.split(' ').includes('offline_access') === true
      ? 'invalid_scope'
      : undefined,
  says: ({ access, refresh, isRefresh, asked }) => {
    const stays = asked.get('access_type') === 'offline' && asked.get('prompt') === 'consent'
    return {
      access_token: access,
      expires_in: 3599,
      scope: asked.get('scope'),
      token_type: 'Bearer',
      // A refresh gives no new refresh token: the first one goes on.
      ...(stays && !isRefresh ? { refresh_token: refresh } : {}),
    }
  },
}

// docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps: a form unless JSON is asked for, scopes by
// comma, no end; …/troubleshooting-oauth-app-access-token-request-errors: errors with the status 200.
export const github: Manners = {
  namedIssuer: 'https://github.com/login/oauth',
  metadataUrl: 'https://github.com/.well-known/oauth-authorization-server/login/oauth',
  metadata: {
    ...code,
    issuer: 'https://github.com/login/oauth',
    authorization_endpoint: 'https://github.com/login/oauth/authorize',
    token_endpoint: 'https://github.com/login/oauth/access_token',
    code_challenge_methods_supported: ['S256'],
  },
  scopes: ['repo', 'gist'],
  takesSecretIn: 'body',
  errorStatus: 200,
  answersForm: true,
  says: ({ access, asked }) => ({
    access_token: access,
    scope: asked.get('scope')?.replaceAll(' ', ','),
    token_type: 'bearer',
  }),
}

// docs.github.com/apps, “Refreshing user access tokens”: a GitHub App's tokens end after eight hours.
export const githubApp: Manners = {
  ...github,
  says: (granted) => ({
    ...github.says(granted),
    expires_in: 28_800,
    refresh_token: granted.refresh,
    refresh_token_expires_in: 15_897_600,
  }),
}

// docs.slack.dev/reference/methods/oauth.v2.user.access; api.slack.com/authentication/rotation: twelve hours.
export const slack: Manners = {
  namedIssuer: 'https://mcp.slack.com',
  metadataUrl: 'https://mcp.slack.com/.well-known/oauth-authorization-server',
  metadata: {
    ...code,
    issuer: 'https://mcp.slack.com',
    authorization_endpoint: 'https://slack.com/oauth/v2_user/authorize',
    token_endpoint: 'https://slack.com/api/oauth.v2.user.access',
    token_endpoint_auth_methods_supported: ['client_secret_post'],
    code_challenge_methods_supported: ['S256'],
  },
  scopes: ['search:read.public', 'chat:write'],
  takesSecretIn: 'body',
  errorStatus: 200,
  says: ({ access, refresh, asked }) => ({
    ok: true,
    access_token: access,
    token_type: 'user',
    authed_user: { id: 'U12345', scope: asked.get('scope')?.replaceAll(' ', ',') },
    team: { id: 'T012345' },
    expires_in: 43_200,
    refresh_token: refresh,
  }),
}
