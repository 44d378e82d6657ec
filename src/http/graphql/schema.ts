// What can be asked over GraphQL, in its own language. Comments in it are for whoever reads the schema from outside.
import { buildSchema } from 'graphql'

export const schema = buildSchema(/* GraphQL */ `
  "A moment: ISO 8601, UTC."
  scalar DateTime

  type Query {
    "How a connection of the caller is signed in."
    getMCPOAuthConnectionStatus(connectionId: ID!): MCPOAuthConnectionStatus!
    "How a sign-in that the caller began is going."
    getMCPOAuthStatus(input: GetMCPOAuthStatusInput!): MCPOAuthStatusResult!
    "The servers that the caller may use."
    servers(cursor: String, limit: Int): ServerPage!
    server(id: ID!): Server!
    "The caller's connections: all, or those to a server or with a label."
    connections(serverId: ID, label: String, cursor: String, limit: Int): ConnectionPage!
    connection(id: ID!): Connection!
    "How a sign-in elsewhere is going, step by step."
    flow(id: ID!): Flow!
  }

  type Mutation {
    "Begins a sign-in elsewhere; the address is to be opened in the person's browser."
    initiateMCPOAuth(input: InitiateMCPOAuthInput!): InitiateMCPOAuthResult!
    "Forgets the tokens and revokes them at the provider: the owner's or an administrator's to do."
    revokeMCPOAuth(input: RevokeMCPOAuthInput!): RevokeMCPOAuthResult!
    "Refreshes the tokens now, even if they still live."
    refreshMCPOAuthToken(input: RefreshMCPOAuthTokenInput!): RefreshMCPOAuthTokenResult!
  }

  type Subscription {
    "One answer, when the sign-in has ended; at once if it has already."
    onMCPOAuthCompleted(stateParameter: String!): MCPOAuthStatusResult!
    "What happens to the tokens of a connection of the caller, from now on."
    onMCPOAuthEvent(connectionId: ID!): MCPOAuthEventPayload!
  }

  input GetMCPOAuthStatusInput {
    stateParameter: String!
  }

  input InitiateMCPOAuthInput {
    connectionId: ID!
    "Separated by spaces; asked for on top of what was asked for before."
    additionalScopes: String
  }

  input RevokeMCPOAuthInput {
    connectionId: ID!
    reason: String
  }

  input RefreshMCPOAuthTokenInput {
    connectionId: ID!
  }

  type InitiateMCPOAuthResult {
    success: Boolean!
    "What went wrong, for people."
    errorMessage: String
    "Absent where nobody has to sign in."
    authorizationUrl: String
    "Names this sign-in, for its owner alone; it is no secret and opens nothing."
    stateParameter: String
    expiresAt: DateTime
    usedDynamicRegistration: Boolean
  }

  type MCPOAuthStatusResult {
    success: Boolean!
    errorMessage: String
    status: MCPOAuthStatus
    connectionId: ID
    initiatedAt: DateTime
    completedAt: DateTime
    authErrorCode: String
    "The error, for people."
    authErrorDescription: String
    isRetryable: Boolean
  }

  type RevokeMCPOAuthResult {
    success: Boolean!
    errorMessage: String
    connectionId: ID
  }

  type RefreshMCPOAuthTokenResult {
    success: Boolean!
    errorMessage: String
    expiresAt: DateTime
    requiresReauthorization: Boolean
  }

  type MCPOAuthConnectionStatus {
    connectionId: ID!
    "Does the server ask for a sign-in?"
    isOAuthEnabled: Boolean!
    "It works now, or will without the person's help."
    hasValidTokens: Boolean!
    isAccessTokenExpired: Boolean
    tokenExpiresAt: DateTime
    hasRefreshToken: Boolean
    "The person has to sign in."
    requiresReauthorization: Boolean!
    "Why, for people."
    reauthorizationReason: String
    issuerUrl: String
    "Separated by spaces."
    grantedScopes: String
  }

  type MCPOAuthEventPayload {
    eventType: MCPOAuthEventType!
    connectionId: ID!
    timestamp: DateTime!
    message: String
    requiresUserAction: Boolean!
  }

  type ServerPage {
    items: [Server!]!
    "Where the next page begins; the last one has none."
    nextCursor: String
  }

  type Server {
    id: ID!
    slug: String!
    name: String!
    url: String!
    auth: String!
    issuer: String
    createdAt: DateTime!
    updatedAt: DateTime!
  }

  type ConnectionPage {
    items: [Connection!]!
    "Where the next page begins; the last one has none."
    nextCursor: String
  }

  type Connection {
    id: ID!
    serverId: ID!
    serverName: String!
    serverUrl: String!
    label: String!
    status: ConnectionStatus!
    "Why it stands so, for programs."
    statusReason: String
    "The reason, for people."
    statusWords: String
    "It works now, or will without the person's help."
    authorized: Boolean!
    scopes: [String!]!
    "Everybody uses it who may use the server and has none."
    shared: Boolean!
    expiresAt: DateTime
    nextRefreshAt: DateTime
    lastRefreshAt: DateTime
    refreshCount: Int!
    lastError: String
    createdAt: DateTime!
    updatedAt: DateTime!
  }

  enum ConnectionStatus {
    disconnected
    authorizing
    connected
    refreshing
    reauth_required
    error
  }

  type Flow {
    id: ID!
    status: FlowStatus!
    connectionId: ID!
    beganAt: DateTime!
    expiresAt: DateTime!
    endedAt: DateTime
    error: String
    retryable: Boolean
    trace: [TraceStep!]!
  }

  enum FlowStatus {
    pending
    completed
    failed
    expired
  }

  type TraceStep {
    at: DateTime!
    step: String!
    host: String!
    status: Int
    outcome: String!
  }

  enum MCPOAuthStatus {
    PENDING
    COMPLETED
    FAILED
    EXPIRED
  }

  enum MCPOAuthEventType {
    TOKEN_REFRESHED
    "Never sent: tokens are refreshed ahead of their end, and tokenExpiresAt tells of those that cannot be."
    TOKEN_EXPIRING_SOON
    TOKEN_REFRESH_FAILED
    REAUTHORIZATION_REQUIRED
    CREDENTIALS_REVOKED
  }
`)
