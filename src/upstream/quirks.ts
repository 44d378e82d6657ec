// What known providers do differently from the standards, as data: how each one is recognised, what differs, and why. No
// row can touch state, redirect URI, PKCE or the `iss` of an answer: there are no words for that here. Applying the rows
// is left to adapt.ts.

/**
 * What a refusal means: the grant is gone (a person must sign in), the client is not known, the server is in trouble
 * (ask again), or the request was wrong.
 */
export type TokenRefusal = 'grant' | 'client' | 'trouble' | 'request'

/** One thing that a provider does differently. */
export type Quirk = QuirkForm & {
  /** For people: why this is so, and why nothing is lost by it. */
  readonly because: string
}

type QuirkForm =
  /** Others write its issuer with or without the one slash at its end. */
  | { readonly kind: 'issuer_slash' }
  /** Its documentation promises what its metadata leave out; what the metadata do say counts. */
  | { readonly kind: 'unannounced'; readonly members: UnannouncedMembers }
  /** It refuses `resource` (RFC 8707): its scopes name the resource. */
  | { readonly kind: 'resource_left_out' }
  /** It takes the audience from a parameter of its own; without a value that is the resource. */
  | { readonly kind: 'audience'; readonly audience?: string }
  /** It reads a bare scope as another resource's: ours are written with the resource in front. */
  | { readonly kind: 'scope_of_resource'; readonly whenNone: readonly string[] }
  /** It gives refresh tokens for these parameters and knows no scope `offline_access`. */
  | { readonly kind: 'offline_by_parameters'; readonly parameters: OpenParameters }
  | { readonly kind: 'parameters'; readonly parameters: OpenParameters }
  /** It gives refresh tokens without asking the person anew. */
  | { readonly kind: 'prompt_left_out' }
  /** It separates the scopes of its answers by commas; `member` is the part of the answer that has them. */
  | { readonly kind: 'scopes_by_comma'; readonly member?: string }
  /** It has names of its own for the type of a bearer token. */
  | { readonly kind: 'bearer_types'; readonly types: readonly string[] }
  /** It has names of its own for what went wrong at the token endpoint. */
  | { readonly kind: 'errors'; readonly errors: Readonly<Record<string, TokenRefusal>> }

/** The only members of its metadata that may be added for a provider. */
interface UnannouncedMembers {
  readonly code_challenge_methods_supported?: readonly ['S256']
  readonly token_endpoint_auth_methods_supported?: readonly string[]
}

/** The only parameters that may be added to an authorization request as they stand. */
interface OpenParameters {
  readonly access_type?: 'offline'
  readonly prompt?: 'consent'
}

interface Provider {
  readonly name: string
  /** The whole issuer, https only: a look-alike is nobody. */
  readonly issuer: RegExp
  readonly quirks: readonly Quirk[]
}

/** A quirk that applies, for people. */
export interface AppliedQuirk {
  readonly provider: string
  readonly kind: Quirk['kind']
  readonly because: string
}

/** The quirks of whoever this issuer is; none for a provider that needs none. */
export function quirksOf(issuer: string): readonly Quirk[] {
  return providerOf(issuer)?.quirks ?? []
}

/** The quirk of this kind, if this issuer has it. */
export function quirkOf<K extends Quirk['kind']>(
  issuer: string,
  kind: K,
): Extract<Quirk, { readonly kind: K }> | undefined {
  return quirksOf(issuer).find(
    (quirk): quirk is Extract<Quirk, { readonly kind: K }> => quirk.kind === kind,
  )
}

/** Which quirks apply at this issuer and why, for the answer to whoever asks. */
export function appliedQuirks(issuer: string): readonly AppliedQuirk[] {
  const provider = providerOf(issuer)
  if (provider === undefined) return []
  return provider.quirks.map(({ kind, because }) => ({ provider: provider.name, kind, because }))
}

function providerOf(issuer: string): Provider | undefined {
  return providers.find((provider) => provider.issuer.test(issuer))
}

// Okta, Notion and Linear need no row. Okta sets the audience at its authorization server and has no parameter for it
// (developer.okta.com/docs/guides/customize-authz-server); the MCP servers of Notion and Linear keep to the standards.
const providers: readonly Provider[] = [
  {
    // learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow and …/scopes-oidc
    name: 'Microsoft Entra ID',
    issuer:
      /^https:\/\/login\.(?:microsoftonline\.com|microsoftonline\.us|partner\.microsoftonline\.cn)\/[\w.-]+\/v2\.0$/,
    quirks: [
      {
        kind: 'unannounced',
        members: { code_challenge_methods_supported: ['S256'] },
        because:
          'Its metadata say nothing about PKCE, its documentation does; S256 is sent all the same.',
      },
      {
        kind: 'resource_left_out',
        because:
          'It refuses the parameter resource (AADSTS901002, AADSTS9010010); the scopes name the resource instead.',
      },
      {
        kind: 'scope_of_resource',
        whenNone: ['.default', 'offline_access'],
        because:
          'A scope without a resource means Microsoft Graph there, whose token is not for this server.',
      },
      {
        kind: 'prompt_left_out',
        because:
          'It keeps a sign-in alive without asking again; asking would stop people for whom an administrator consented.',
      },
    ],
  },
  {
    // auth0.com/docs, “Resource Parameter Compatibility Profile”: off by default, `audience` counts where both are given.
    name: 'Auth0',
    issuer: /^https:\/\/(?:[a-z0-9-]+\.)+auth0\.com\/?$/,
    quirks: [
      {
        kind: 'issuer_slash',
        because: 'Its issuer ends with a slash that others leave out; the host is the same.',
      },
      {
        kind: 'audience',
        because: 'It takes the audience of a token from the parameter audience.',
      },
    ],
  },
  {
    // developers.google.com/identity/protocols/oauth2/web-server#offline; github.com/github/copilot-cli/issues/4606
    name: 'Google',
    issuer: /^https:\/\/accounts\.google\.com\/?$/,
    quirks: [
      {
        kind: 'issuer_slash',
        because: 'Its MCP servers name its issuer with a slash that it does not have itself.',
      },
      {
        kind: 'offline_by_parameters',
        parameters: { access_type: 'offline', prompt: 'consent' },
        because: 'It gives a refresh token for access_type, each time only where it asks again.',
      },
    ],
  },
  {
    // docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
    name: 'GitHub',
    issuer: /^https:\/\/github\.com\/login\/oauth$/,
    quirks: [
      {
        kind: 'unannounced',
        members: { token_endpoint_auth_methods_supported: ['client_secret_post'] },
        because: 'Its documentation takes the client secret in the body only.',
      },
      { kind: 'scopes_by_comma', because: 'It separates granted scopes by commas.' },
    ],
  },
  {
    // docs.slack.dev/reference/methods/oauth.v2.user.access
    name: 'Slack',
    issuer: /^https:\/\/(?:mcp\.)?slack\.com$/,
    quirks: [
      {
        kind: 'bearer_types',
        types: ['user', 'bot'],
        because: 'It says whose a bearer token is where others say that it is one.',
      },
      {
        kind: 'scopes_by_comma',
        member: 'authed_user',
        because: 'It names granted scopes with the person, separated by commas.',
      },
      {
        kind: 'errors',
        errors: {
          invalid_code: 'grant',
          bad_client_secret: 'client',
          invalid_client_id: 'client',
          fatal_error: 'trouble',
          internal_error: 'trouble',
          ratelimited: 'trouble',
          request_timeout: 'trouble',
          service_unavailable: 'trouble',
        },
        because: 'It has error names of its own, which come with the status 200.',
      },
    ],
  },
  {
    // docs.aws.amazon.com/cognito/latest/developerguide/authorization-endpoint.html
    name: 'Amazon Cognito',
    issuer: /^https:\/\/cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?\/[\w-]+$/,
    quirks: [
      {
        kind: 'unannounced',
        members: { code_challenge_methods_supported: ['S256'] },
        because:
          'Its metadata say nothing about PKCE, its documentation does; S256 is sent all the same.',
      },
    ],
  },
  {
    // developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps
    name: 'Atlassian',
    issuer: /^https:\/\/auth\.atlassian\.com$/,
    quirks: [
      {
        kind: 'audience',
        audience: 'api.atlassian.com',
        because:
          'Its tokens are for the Atlassian API and no other audience; the client is one that an administrator gave.',
      },
      {
        kind: 'parameters',
        parameters: { prompt: 'consent' },
        because: 'It wants to be told to ask for consent.',
      },
    ],
  },
]
