// What is stored, table by table, as Kysely sees it. The truth about columns is in migrations/*.sql; this file follows it.
// Times are whole milliseconds since 1970, lists and documents are JSON text, yes/no is 0/1.
// A column that ends in `_digest` holds a keyed digest, one that ends in `_sealed` an AES-256-GCM envelope; nothing else
// holds a secret. Every tenant's table begins its key with `tenant_id`.

export interface Schema {
  master_keys: MasterKeyRow
  tenants: TenantRow
  users: UserRow
  identities: IdentityRow
  passwords: PasswordRow
  sessions: SessionRow
  api_keys: ApiKeyRow
  setup_links: SetupLinkRow
  clients: ClientRow
  client_secrets: ClientSecretRow
  authorization_requests: AuthorizationRequestRow
  pushed_requests: PushedRequestRow
  consents: ConsentRow
  grants: GrantRow
  codes: CodeRow
  access_tokens: AccessTokenRow
  refresh_tokens: RefreshTokenRow
  servers: ServerRow
  connections: ConnectionRow
  step_ups: StepUpRow
  discoveries: DiscoveryRow
  registrations: RegistrationRow
  flows: FlowRow
  credentials: CredentialRow
  journal_entries: JournalEntryRow
  journal_chain: JournalChainRow
  journal_heads: JournalHeadRow
  idempotency_keys: IdempotencyKeyRow
  webhooks: WebhookRow
  webhook_deliveries: WebhookDeliveryRow
  signing_keys: SigningKeyRow
  client_assertions: ClientAssertionRow
  device_codes: DeviceCodeRow
  device_guesses: DeviceGuessRow
  rate_limits: RateLimitRow
  dpop_proofs: DpopProofRow
  token_ancestors: TokenAncestorRow
  trusted_issuers: TrustedIssuerRow
  scopes: ScopeRow
  subject_tokens: SubjectTokenRow
  attempts: AttemptRow
  refusal_counts: RefusalCountRow
  call_counts: CallCountRow
  upstream_revocations: UpstreamRevocationRow
  support_settings: SupportSettingsRow
  support_requests: SupportRequestRow
  providers: ProviderRow
  sign_in_flows: SignInFlowRow
  provider_grants: ProviderGrantRow
  call_contents: CallContentRow
}

/** A master key that this database was used with; only its id, which is a digest. */
export interface MasterKeyRow {
  key_id: string
  first_used_at: number
}

/** How much of one quota is used, by whom or what its key says. Of the key there is a digest only. */
export interface RateLimitRow {
  tenant_id: string
  key_digest: string
  taken: number
  /** The end of the window; afterwards the row counts for nothing. */
  expires_at: number
}

/** One virtual host. `issuer` is its origin, or `/t/{slug}` at that of the default tenant, byte for byte (RFC 8414 §2). */
export interface TenantRow {
  id: string
  slug: string
  issuer: string
  name: string
  created_at: number
  /** Since when it answers nobody. */
  disabled_at: number | null
  /** How its pages look, `#rrggbb`, and whom people ask. */
  accent: string | null
  logo_url: string | null
  support_contact: string | null
  /** Its limits in hundredths of the installation's; null: as they are. */
  limit_percent: number | null
  /** For how many days the content of calls is kept; null: it is not. */
  call_content_days: number | null
}

/** One person in one tenant. `email` is lower case; it may be absent (S4-14). */
export interface UserRow {
  tenant_id: string
  id: string
  email: string | null
  email_verified: number
  name: string | null
  /** `user`, `admin` (of this tenant) or `operator` (of the installation, default tenant only). */
  role: string
  disabled_at: number | null
  created_at: number
}

/** How a user proves who they are: unique per (tenant, issuer, subject). */
export interface IdentityRow {
  tenant_id: string
  issuer: string
  subject: string
  user_id: string
  created_at: number
  last_used_at: number | null
}

/** argon2id in PHC text form. */
export interface PasswordRow {
  tenant_id: string
  user_id: string
  hash: string
  updated_at: number
}

/** A signed-in browser. The cookie's value is only here as a digest. */
export interface SessionRow {
  tenant_id: string
  session_digest: string
  user_id: string
  created_at: number
  last_used_at: number
  expires_at: number
  /** What the person's provider gave with the sign-in; null for one with a password of ours. */
  provider_grant_id: string | null
}

/** An `lk_…` key; `scopes` is a JSON list such as ["connections:token"]. */
export interface ApiKeyRow {
  tenant_id: string
  id: string
  key_digest: string
  user_id: string
  name: string
  scopes: string
  created_at: number
  last_used_at: number | null
  expires_at: number | null
  revoked_at: number | null
}

/** The one-time link that makes the first operator, or a tenant's first administrator. */
export interface SetupLinkRow {
  tenant_id: string
  link_digest: string
  created_at: number
  expires_at: number
  claimed_at: number | null
}

/** A program that uses our authorization server. `id` is `mcp_oauth_…` or the https URL of its metadata document. */
export interface ClientRow {
  tenant_id: string
  id: string
  /** `manual` (CLI, REST), `registered` (RFC 7591) or `document` (Client ID Metadata Document). */
  kind: string
  name: string
  /** The whole validated metadata as JSON (RFC 7591 §2 names). */
  metadata: string
  /** Digest of what a person consented to see: name, redirect URIs; changes ask for consent again. */
  metadata_digest: string
  token_endpoint_auth_method: string
  created_at: number
  created_by: string | null
  /** First time a grant was made for it; never-used ones may be swept. */
  used_at: number | null
  disabled_at: number | null
  /** For `document`: until when the fetched copy may be used without asking again. */
  fresh_until: number | null
  /** For a public `registered` client: by which an identical registration is found again; null once it must not be. */
  registration_digest: string | null
  /** For `registered`: when it was last asked for; the age of a never-used one counts from here. */
  registered_at: number | null
  /** For a `registered` client with a proof of its own: the token by which it manages itself; null when nobody may. */
  registration_token_digest: string | null
}

/** Up to two alive per client while rotating. */
export interface ClientSecretRow {
  tenant_id: string
  client_id: string
  secret_digest: string
  created_at: number
  expires_at: number | null
}

/** An authorization request on its way through sign-in and consent; the hub's stored state. */
export interface AuthorizationRequestRow {
  tenant_id: string
  id: string
  /** Digest of the `__Host-` browser cookie that began it: another browser cannot finish it. */
  browser_digest: string
  client_id: string
  redirect_uri: string
  /** The client's `state`, given back unchanged; null when it sent none. */
  state: string | null
  scope: string
  resource: string
  code_challenge: string
  nonce: string | null
  prompt: string | null
  /** The key that the code will be bound to; null when the client named none (RFC 9449 §10). */
  dpop_jkt: string | null
  created_at: number
  expires_at: number
  /** Set once, when a code or an error was sent back. */
  claimed_at: number | null
  /** The attempt that it belongs to; its own id where none began before. */
  attempt: string | null
}

/** A request that a client pushed ahead of the browser (RFC 9126); used for one authorization request, with the same id. */
export interface PushedRequestRow {
  tenant_id: string
  /** Digest of its `request_uri`. */
  request_digest: string
  id: string
  client_id: string
  /** Its parameters as a form, without what proved the client. */
  parameters: string
  created_at: number
  expires_at: number
  claimed_at: number | null
}

/** What one person agreed to for one client; any change of a key part asks again. */
export interface ConsentRow {
  tenant_id: string
  user_id: string
  client_id: string
  redirect_host: string
  resource: string
  scope: string
  metadata_digest: string
  created_at: number
  updated_at: number
}

/** What one user gave one client on one device. Every token belongs to one grant; ending it ends them all. */
export interface GrantRow {
  tenant_id: string
  id: string
  user_id: string | null
  client_id: string
  resource: string
  scope: string
  created_at: number
  first_used_at: number | null
  last_used_at: number | null
  /** How often its access tokens were verified. */
  use_count: number
  revoked_at: number | null
  revoke_reason: string | null
  /** The grant whose token was exchanged for one of this grant (RFC 8693). */
  parent_grant_id: string | null
  /** The issuer that spoke for the person (ID-JAG). */
  trusted_issuer_id: string | null
  /** The attempt that led to it. */
  attempt: string | null
  /** When a call was answered with it for the first time. */
  first_call_at: number | null
  /** What it hangs on and ends with: the sign-in at the person's provider; null for one with a password of ours. */
  provider_grant_id: string | null
}

/** An authorization code; single use, at most a minute (RFC 6749 §4.1.2). */
export interface CodeRow {
  tenant_id: string
  code_digest: string
  grant_id: string
  client_id: string
  redirect_uri: string
  code_challenge: string
  created_at: number
  expires_at: number
  claimed_at: number | null
  /** The client's `nonce`, given back in the ID token; null when it sent none. */
  nonce: string | null
  /** The key that must redeem it; null for any (RFC 9449 §10). */
  dpop_jkt: string | null
}

/** A `mcp_at_…` or an `at+jwt`, by the digest of the whole; valid while unexpired, not revoked, and its grant not revoked. */
export interface AccessTokenRow {
  tenant_id: string
  token_digest: string
  grant_id: string
  client_id: string
  user_id: string | null
  scope: string
  resource: string
  created_at: number
  expires_at: number
  revoked_at: number | null
  /** The thumbprint of the key that it is bound to; null for a Bearer token (RFC 9449 §6). */
  jkt: string | null
  /** For an exchanged one: JSON list of the clients that exchanged it on its way, the latest first (RFC 8693 §4.1). */
  actors: string | null
}

/** What an exchanged token was made from, parents and theirs: it is good while all of them are. */
export interface TokenAncestorRow {
  tenant_id: string
  token_digest: string
  ancestor_digest: string
}

/** One generation of a refresh token family; the family is the grant. */
export interface RefreshTokenRow {
  tenant_id: string
  token_digest: string
  grant_id: string
  client_id: string
  generation: number
  created_at: number
  expires_at: number
  claimed_at: number | null
  /** The token response that answered it, sealed under a key made from the token itself, for the 30 s replay window. */
  replay_sealed: string | null
  replay_until: number | null
  /** The key that came with the request that made it; null when none came (RFC 9449 §5). */
  jkt: string | null
}

/** An MCP server behind the gateway. */
export interface ServerRow {
  tenant_id: string
  id: string
  slug: string
  name: string
  url: string
  /** `none`, `headers`, `oauth`, `provider` or `assertion`. */
  auth: string
  /** Fixed headers as sealed JSON object, for `headers`. */
  headers_sealed: string | null
  header_names: string
  issuer: string | null
  client_id: string | null
  client_secret_sealed: string | null
  scopes: string | null
  /** JSON list of the scopes of ours that it understands, each with the tools that it opens; null: one scope opens all. */
  tool_scopes: string | null
  /** JSON of which tools may be called at all; null: every one. */
  tool_policy: string | null
  /** The last segment of its redirect URI, distinct per connection context. */
  context: string
  created_by: string | null
  created_at: number
  updated_at: number
  /** How the access tokens for it look: `opaque` or `jwt`. */
  token_format: string
  /** How we get tokens for it: by whom a person is sent there, or without a browser. */
  grant_type: string
  /** JSON of what else such a grant needs; no secret in it. */
  grant_settings: string | null
  /** Our secret at the identity provider that such a grant asks. */
  provider_secret_sealed: string | null
  /** The key that proves us there, as a private JWK; and what of it everybody may know. */
  client_key_sealed: string | null
  client_key_public: string | null
  /** JSON list of the people and roles that may use it; null: everybody of the tenant. */
  may_use: string | null
  /** `sse` for a server that only speaks the older HTTP+SSE; null: Streamable HTTP. */
  transport: string | null
  /** How long what discovery found is used again; null: as long as the installation says. */
  metadata_cache_ms: number | null
  identity_headers: number
  /** For `provider`: where the caller has to be signed in, in the same tenant. */
  provider_id: string | null
}

/** One user's credential for one server. */
export interface ConnectionRow {
  tenant_id: string
  id: string
  server_id: string
  user_id: string
  label: string
  status: string
  status_reason: string | null
  last_error: string | null
  created_at: number
  updated_at: number
  /** 1: of the tenant, for everybody who may use the server; its user is only who needed it first. */
  of_tenant: number
  /** Since when its owner lets everybody use it who may use the server; holds while the owner is an administrator. */
  shared_at: number | null
  /** How often somebody has signed in for it. */
  sign_ins: number
  /** What the server asked for on top of what it holds, until that is no longer refused. */
  step_up_scope: string | null
}

/** An operation that a server refused to a connection for want of scope, and how many sign-ins did not help. */
export interface StepUpRow {
  tenant_id: string
  connection_id: string
  operation: string
  scope: string
  /** Which sign-in the last refusal was for, so that many refusals of one are one round. */
  sign_in: number
  rounds: number
  asked_at: number
}

/** What discovery found for one resource URL, with its life time. */
export interface DiscoveryRow {
  tenant_id: string
  resource_url: string
  document: string
  fetched_at: number
  expires_at: number
}

/** Us as a client of somebody else's authorization server; keyed by issuer (C8), never shared between tenants. */
export interface RegistrationRow {
  tenant_id: string
  server_id: string
  issuer: string
  redirect_uri: string
  /** `preregistered`, `cimd` or `dcr`. */
  method: string
  client_id: string
  client_secret_sealed: string | null
  client_secret_expires_at: number | null
  token_endpoint_auth_method: string
  registration_access_token_sealed: string | null
  registration_client_uri: string | null
  created_at: number
  client_key_sealed: string | null
}

/** One sign-in elsewhere, from start to callback. */
export interface FlowRow {
  tenant_id: string
  id: string
  connection_id: string
  user_id: string
  /** Digest of the browser that must bring the callback; null until /connect/… bound one. */
  browser_digest: string | null
  issuer: string
  context: string
  /** Everything the callback needs (endpoints, client, resource, scope) as JSON, no secret in it. */
  plan: string
  verifier_sealed: string
  status: string
  error: string | null
  retryable: number | null
  return_to: string | null
  trace: string
  created_at: number
  expires_at: number
  claimed_at: number | null
  completed_at: number | null
}

/** The tokens of one connection and the refresh lease (design idea 7). */
export interface CredentialRow {
  tenant_id: string
  connection_id: string
  /** JSON: issuer, token endpoint, client id, auth method, resource; no secret in it. */
  binding: string
  generation: number
  access_token_sealed: string
  token_type: string
  refresh_token_sealed: string | null
  scope: string | null
  expires_at: number | null
  obtained_at: number
  last_refresh_at: number | null
  refresh_count: number
  next_refresh_at: number | null
  /** Who refreshes now, and until when they may. */
  lease_owner: string | null
  lease_until: number | null
  /** Which generation was sent out, written before the first byte leaves. */
  intent_generation: number | null
  intent_at: number | null
  /** What was refused once: the tokens, or us as a client (a digest says which); not asked again before `doubt_until`. */
  doubt: string | null
  doubt_until: number | null
  /** The key that the tokens are bound to, as a private JWK (RFC 9449). */
  proof_key_sealed: string | null
}

/** What an identity provider said of a person when they last signed in there. */
export interface SubjectTokenRow {
  tenant_id: string
  user_id: string
  issuer: string
  subject: string
  token_sealed: string
  expires_at: number
  created_at: number
}

/** A token that is forgotten here and still to be revoked at its provider. The connection may be gone. */
export interface UpstreamRevocationRow {
  tenant_id: string
  id: string
  connection_id: string
  user_id: string | null
  issuer: string
  /** JSON: the token, its hint, and where and as whom it is revoked. */
  request_sealed: string
  /** How often it was begun; counted before it is sent. */
  tries: number
  next_try_at: number
  created_at: number
}

/** One line of the journal; only ever inserted, and marked once when it is in the chain. */
export interface JournalEntryRow {
  tenant_id: string
  id: string
  at: number
  type: string
  /** `user`, `client`, `key`, `operator`, `system` or `anonymous`. */
  actor_kind: string
  actor_id: string | null
  /** Whose business it is; live events go only to them. */
  user_id: string | null
  subject_kind: string | null
  subject_id: string | null
  attempt: string | null
  data: string
  /** 1 until it is in the chain. */
  is_pending: number
}

/** The chain over the entries: seq is the reading order and the cursor, hash covers the one before. */
export interface JournalChainRow {
  tenant_id: string
  seq: number
  entry_id: string
  hash: string
}

/** The end of each tenant's chain; the row that a sealer locks. */
export interface JournalHeadRow {
  tenant_id: string
  seq: number
  hash: string
}

/** The first answer to a write with an Idempotency-Key, sealed, for a day. */
export interface IdempotencyKeyRow {
  tenant_id: string
  principal: string
  key_digest: string
  request_digest: string
  response_sealed: string | null
  created_at: number
  expires_at: number
}

/** A key that signs our JWTs: not yet active, active, or retired and published until what it signed is over. */
export interface SigningKeyRow {
  tenant_id: string
  generation: number
  /** Its RFC 7638 thumbprint. */
  kid: string
  public_jwk: string
  private_jwk_sealed: string
  created_at: number
  activated_at: number | null
  retired_at: number | null
  published_until: number | null
  /** When it is to sign, if somebody wants that before its turn. */
  activate_at: number | null
}

/** An assertion of a client, or for one, that was used; its id is a hash of who made it and the `jti`. */
export interface ClientAssertionRow {
  tenant_id: string
  assertion_id: string
  client_id: string
  expires_at: number
}

/** A device that waits for a person to let it in (RFC 8628); `claimed_at` is when its code became tokens. */
export interface DeviceCodeRow {
  tenant_id: string
  id: string
  device_code_digest: string
  user_code_digest: string
  /** To be shown beside what the device shows. */
  user_code_sealed: string
  client_id: string
  resource: string
  scope: string
  /** Whole seconds that the device must wait between two polls; grows when it does not. */
  interval_s: number
  last_polled_at: number | null
  /** How many wrong codes the tenant had seen when this one was made. */
  guesses_before: number
  /** From where and as what the device asked, in words for the person; null when nothing is known. */
  device_address: string | null
  device_agent: string | null
  /** `pending`, `approved` or `denied`. */
  status: string
  /** Who typed the code, in which session and browser; only that session decides. */
  user_id: string | null
  session_digest: string | null
  browser_digest: string | null
  decided_at: number | null
  grant_id: string | null
  created_at: number
  expires_at: number
  claimed_at: number | null
}

/** How many wrong codes were typed of late by one guesser, or ever in the whole tenant. */
export interface DeviceGuessRow {
  tenant_id: string
  /** `user:` and an id, `address:` and a digest, or `tenant`, whose row does not expire. */
  guesser: string
  wrong: number
  expires_at: number | null
}

/** A DPoP proof that was seen: it counts once (RFC 9449 §11.1). */
export interface DpopProofRow {
  tenant_id: string
  /** A digest of its key, its target and its `jti`. */
  proof_id: string
  expires_at: number
}

/** An identity provider whose word about a person gives a client a token (ID-JAG). */
export interface TrustedIssuerRow {
  tenant_id: string
  id: string
  /** Its issuer identifier, byte for byte (RFC 8414 §2). */
  issuer: string
  /** One of the two: where its keys are, or the keys as JSON (RFC 7517 §5). */
  jwks_uri: string | null
  jwks: string | null
  /** JSON lists; empty: every one that is let in by the other rules. */
  client_ids: string
  resources: string
  /** Whether a subject that is not known yet becomes a person. */
  provisions: number
  created_at: number
  disabled_at: number | null
}

/** Somebody who is told what happens: where, what of it, and how far they have been told. */
export interface WebhookRow {
  tenant_id: string
  id: string
  url: string
  description: string
  /** JSON list of event types, `area.*` or `*`. */
  event_types: string
  secret_sealed: string
  /** The secret before this one, which signs too until it expires. */
  previous_secret_sealed: string | null
  previous_secret_expires_at: number | null
  /** Up to this seq of the journal's chain there are deliveries. */
  cursor_seq: number
  /** Attempts that failed since one got through. */
  failures: number
  failing_since: number | null
  paused_until: number | null
  disabled_at: number | null
  /** `switched_off`, or `gone` when the receiver said so. */
  disabled_reason: string | null
  /** Who sends now, and until when they may. */
  lease_owner: string | null
  lease_until: number | null
  created_at: number
  updated_at: number
}

/** One event on its way to one webhook; its id is the `webhook-id` of every attempt. */
export interface WebhookDeliveryRow {
  tenant_id: string
  id: string
  webhook_id: string
  /** The journal entry; of a test its own id. */
  entry_id: string
  seq: number
  event_type: string
  /** Deliveries with the same key go one after the other. */
  order_key: string
  body: string
  /** `pending`, `delivered` or `failed`. */
  status: string
  attempt_count: number
  /** JSON list of the latest attempts. */
  attempts: string
  /** Attempts that failed since it was made or asked for again. */
  failures: number
  next_attempt_at: number
  give_up_at: number
  created_at: number
  finished_at: number | null
  /** When a finished one is forgotten. */
  expires_at: number | null
}

/** A scope that a tenant made, or its own words for one that every tenant has. */
export interface ScopeRow {
  tenant_id: string
  name: string
  words: string
  icon: string
  /** Is it given to a client that names no scope? */
  is_usual: number
  /** JSON list of the scopes that it holds besides itself. */
  includes: string
  created_at: number
  updated_at: number
  created_by: string | null
}

/** One attempt of a client to connect. Its story is the entries of the journal with its id, or with one linked to it. */
export interface AttemptRow {
  tenant_id: string
  id: string
  /** Digest of address and user agent, while this visitor's next step belongs to it. */
  visitor_digest: string | null
  address_digest: string | null
  /** The client that it registered or turned out to be. */
  client_id: string | null
  /** The attempt that goes on with this one's story. */
  linked_to: string | null
  began_at: number
  /** When a person's browser first came with it. */
  authorized_at: number | null
  expires_at: number
}

/** How often something was refused on one day; `client_id` is empty for a client that we do not have. */
/** How often who called what through which client in a day. */
export interface CallCountRow {
  tenant_id: string
  /** Days since 1970. */
  day: number
  user_id: string
  client_id: string
  server_id: string
  tool: string
  outcome: string
  count: number
  duration_ms: number
  expires_at: number
}

export interface RefusalCountRow {
  tenant_id: string
  /** Days since 1970. */
  day: number
  client_id: string
  type: string
  error: string
  count: number
  expires_at: number
}

/** Whether a tenant takes requests for help. */
export interface SupportSettingsRow {
  tenant_id: string
  /** `none` or `dashboard`. */
  support: string
  updated_at: number
}

/** What a person asked for help with. */
export interface SupportRequestRow {
  tenant_id: string
  id: string
  user_id: string
  /** Through which client. */
  client_id: string
  title: string
  description: string
  context: string | null
  email: string | null
  email_verified: number
  status: string
  priority: string
  created_at: number
  updated_at: number
}

/** Where a tenant's people sign in elsewhere, and us as a client there. */
export interface ProviderRow {
  tenant_id: string
  id: string
  /** Stands in its redirect URI, which is no other provider's; never changes. */
  slug: string
  /** `oidc` (an ID token says who it is) or `oauth2` (userinfo does). */
  kind: string
  name: string
  /** What its subjects are kept under, byte for byte. */
  issuer: string
  /** JSON of its addresses. */
  endpoints: string
  client_id: string
  client_secret_sealed: string | null
  token_endpoint_auth_method: string
  scopes: string
  /** JSON: which member of what it says is which fact. */
  claims: string
  /** JSON list of the domains whose addresses may sign in; empty: all. */
  email_domains: string
  emails_are_verified: number
  links_verified_email: number
  keeps_tokens: number
  created_at: number
  updated_at: number
}

/** One sign-in at a provider, under way in one browser; nobody is known yet. */
export interface SignInFlowRow {
  tenant_id: string
  id: string
  provider_id: string
  browser_digest: string
  verifier_sealed: string
  /** The path of ours where it goes on. */
  next: string
  created_at: number
  expires_at: number
  claimed_at: number | null
}

/** One person signed in at a provider once. Sessions and grants hang on it; its tokens, if kept, are credentials. */
export interface ProviderGrantRow {
  tenant_id: string
  id: string
  provider_id: string
  user_id: string
  subject: string
  /** The provider's session (OIDC Back-Channel Logout §2.4). */
  sid: string | null
  created_at: number
  ended_at: number | null
  end_reason: string | null
}

/** What was said in one call, of a tenant that keeps it. */
export interface CallContentRow {
  tenant_id: string
  id: string
  /** Null for a client that acts for itself. */
  user_id: string | null
  client_id: string
  server_id: string
  /** Its slug. */
  server: string
  method: string
  tool: string | null
  status: number
  duration_ms: number
  input_sealed: string
  /** Yes where only the beginning is kept; so is the other one. */
  input_cut: number
  output_sealed: string | null
  output_cut: number
  created_at: number
}
