// What is right and wrong with the authorization server of an MCP server: whether its metadata may be believed (RFC 8414),
// and what it offers of that which a sign-in needs. Pure: reads one look.
import { isFault } from '../base/fault.ts'
import { authorizationServerUrls } from '../upstream/authorization-server.ts'
import type { Discovery } from '../upstream/discover.ts'
import { appliedQuirks } from '../upstream/quirks.ts'
import { contentTypeFindings } from './doctor-content-type.ts'
import { explain } from './doctor-faults.ts'
import { note, right, stopping, wrong } from './doctor-finding.ts'
import type { Finding } from './doctor-finding.ts'
import { documentOf, exchangesOf } from './doctor-look.ts'
import type { Look } from './doctor-look.ts'
import { wantsBoundTokens } from './doctor-server.ts'

/** Everything about the authorization server, its refused rivals first. */
export function providerFindings(look: Look): readonly Finding[] {
  const refused = refusedFindings(look)
  if (look.outcome.kind === 'refused') return refused
  const { inspection } = look.outcome
  if (inspection.kind !== 'oauth') return []
  const { discovery } = inspection
  return [...refused, ...placeFindings(look, discovery), ...offerFindings(look, discovery)]
}

const about = 'provider'
const refusedStep = 'authorization_server_refused'
const metadataStep = 'authorization_server_metadata'

function refusedFindings(look: Look): readonly Finding[] {
  const findings = exchangesOf(look, refusedStep).flatMap(({ url, error }) =>
    isFault(error) ? [explain(error, { about, url: placeOf(look, url) })] : [],
  )
  if (look.outcome.kind === 'seen') return findings
  const [first, ...others] = findings
  if (first !== undefined) return [stopping(first), ...others]
  const last = exchangesOf(look, metadataStep).at(-1)
  if (last === undefined) return []
  const { fault } = look.outcome
  const isAnswered = last.response !== undefined && last.response.status < 500
  if (documentOf(last) !== undefined || !isAnswered) {
    return [stopping(explain(fault, { about, url: last.url }))]
  }
  return [
    stopping(
      wrong({
        about,
        code: 'nothing_published',
        words: 'Neither the server nor its origin says anything about signing in.',
        clause: 'MCP authorization, "Authorization Server Discovery"',
        mend: {
          by: 'server',
          how: 'Publish RFC 9728 metadata with the issuer. Name the issuer here with --issuer until then.',
        },
      }),
    ),
  ]
}

/** The document that was refused, or the issuer where there is none. */
function placeOf(look: Look, issuer: string): string {
  const asked = exchangesOf(look, metadataStep).filter(({ url }) => isOf(issuer, url))
  const last = asked.at(-1)
  const hasDocument = last?.response?.text.trimStart().startsWith('{') === true
  const isCut = last !== undefined && last.response === undefined
  return last !== undefined && (hasDocument || isCut) ? last.url : issuer
}

function isOf(issuer: string, url: string): boolean {
  return authorizationServerUrls(issuer).includes(url)
}

function placeFindings(look: Look, { issuer, isGuessed }: Discovery): readonly Finding[] {
  const places = authorizationServerUrls(issuer)
  if (isGuessed) {
    return [
      wrong({
        about,
        code: 'no_metadata',
        words: `${issuer} publishes no metadata; /authorize, /token and /register there are tried, as clients of 2025-03-26 do.`,
        clause: 'MCP authorization, "Authorization Server Metadata Discovery"; RFC 8414 §3',
        mend: { by: 'server', how: `Publish it at ${places[0]}` },
      }),
    ]
  }
  const found = exchangesOf(look, metadataStep).findLast(
    (exchange) => places.includes(exchange.url) && documentOf(exchange) !== undefined,
  )
  if (found === undefined) return []
  return [
    right({
      about,
      code: 'metadata',
      words: `Its metadata is at ${found.url}`,
      clause: found.url.includes('openid-configuration')
        ? 'OpenID Connect Discovery §4; RFC 8414 §5'
        : 'RFC 8414 §3.1',
    }),
    ...contentTypeFindings(found, {
      about,
      named: 'It',
      clause: 'RFC 8414 §3.2',
      by: 'provider',
    }),
    issuerFinding(look, issuer),
  ]
}

function issuerFinding({ outcome, issuer: asked }: Look, issuer: string): Finding {
  const clause = 'RFC 8414 §3.3'
  const listed =
    outcome.kind === 'seen' && outcome.inspection.kind === 'oauth'
      ? (outcome.inspection.discovery.protectedResource?.authorization_servers ?? [])
      : []
  const names = asked === undefined ? listed : [asked]
  if (names.length === 0 || names.includes(issuer)) {
    const words = `It names itself as it was asked for, byte for byte: ${issuer}`
    return right({ about, code: 'issuer', words, clause })
  }
  const words = `It names itself ${issuer}, and the server names it with one slash more or less. Of this provider that is known; its own spelling counts.`
  return note({ about, code: 'issuer_slash', words, clause })
}

/** What of its offer a sign-in meets. */
function offerFindings(look: Look, discovery: Discovery): readonly Finding[] {
  const { metadata, issuer, isGuessed } = discovery
  if (isGuessed) return []
  return [
    right({
      about,
      code: 'endpoints',
      words: `People sign in at ${metadata.authorization_endpoint}; tokens come from ${metadata.token_endpoint}`,
      clause: 'RFC 8414 §2',
    }),
    right({
      about,
      code: 'pkce',
      words: 'It knows PKCE with S256.',
      clause: 'MCP authorization, "Authorization Code Protection"',
    }),
    ...responseFindings(metadata),
    ...grantFindings(metadata),
    issFinding(metadata),
    ...pushedFindings(metadata),
    ...boundFindings(look, discovery),
    revocationFinding(metadata),
    ...appliedQuirks(issuer).map(({ provider, kind, because }) =>
      note({ about, code: `quirk_${kind}`, words: `${provider} is known to differ: ${because}` }),
    ),
  ]
}

type Metadata = Discovery['metadata']

function responseFindings({ response_types_supported: types }: Metadata): readonly Finding[] {
  if (types.includes('code')) return []
  return [
    wrong({
      about,
      code: 'no_code',
      words: `It does not list the response type code (${types.join(', ')}). It is asked for all the same.`,
      clause: 'OAuth 2.1 §4.1.1; RFC 8414 §2',
      mend: { by: 'provider', how: 'List "code" in response_types_supported.' },
    }),
  ]
}

function grantFindings({ grant_types_supported: grants }: Metadata): readonly Finding[] {
  // RFC 8414 §2: who lists nothing has the authorization code, and says nothing about refreshing.
  if (grants === undefined) return []
  if (!grants.includes('authorization_code')) {
    return [
      wrong({
        about,
        code: 'no_code_grant',
        words: `It does not list the grant type authorization_code (${grants.join(', ')}). It is asked for all the same.`,
        clause: 'RFC 8414 §2',
        mend: { by: 'provider', how: 'List it in grant_types_supported.' },
      }),
    ]
  }
  if (grants.includes('refresh_token')) {
    const words = 'It gives refresh tokens, so a connection can stay alive by itself.'
    return [right({ about, code: 'refresh', words, clause: 'MCP authorization, "Refresh Tokens"' })]
  }
  const words =
    'It lists no refresh tokens: people may have to sign in again whenever a token ends.'
  return [note({ about, code: 'no_refresh', words, clause: 'MCP authorization, "Refresh Tokens"' })]
}

function issFinding(metadata: Metadata): Finding {
  const clause = 'RFC 9207 §3'
  if (metadata.authorization_response_iss_parameter_supported === true) {
    const words = 'It names itself in its answers, so nobody else can answer in its place.'
    return right({ about, code: 'iss', words, clause })
  }
  const words =
    'It does not promise to name itself in its answers. What keeps servers apart is the redirect URI of its own that each has.'
  return note({ about, code: 'no_iss', words, clause: `${clause}; RFC 9700 §4.4.2` })
}

function pushedFindings(metadata: Metadata): readonly Finding[] {
  if (metadata.require_pushed_authorization_requests !== true) return []
  return [
    stopping(
      wrong({
        about,
        code: 'par_required',
        words: 'It takes pushed authorization requests only, and Latchkey does not push any yet.',
        clause: 'RFC 9126 §5',
        mend: {
          by: 'provider',
          how: 'Let the client of Latchkey do without (require_pushed_authorization_requests).',
        },
      }),
    ),
  ]
}

function boundFindings(look: Look, { proofs, protectedResource }: Discovery): readonly Finding[] {
  const clause = 'RFC 9449 §5 and §7; RFC 9728 §2'
  if (proofs !== undefined) {
    const why = proofs === 'required' ? 'the server wants that' : 'both sides take that'
    const words = `Tokens are bound to a key of Latchkey, because ${why}.`
    return [right({ about, code: 'dpop', words, clause })]
  }
  const isWanted = protectedResource?.dpop_bound_access_tokens_required === true
  if (!isWanted && !wantsBoundTokens(look)) return []
  return [
    stopping(
      wrong({
        about,
        code: 'no_dpop',
        words:
          'The server takes only tokens that are bound to a key, and its authorization server makes none that Latchkey can prove.',
        clause,
        mend: { by: 'provider', how: 'List "ES256" in dpop_signing_alg_values_supported.' },
      }),
    ),
  ]
}

function revocationFinding({ revocation_endpoint: url }: Metadata): Finding {
  const clause = 'RFC 7009 §2'
  if (url !== undefined) {
    return right({ about, code: 'revocation', words: `Tokens are revoked at ${url}`, clause })
  }
  const words =
    'It has no place to revoke tokens: who disconnects here is forgotten here, and the tokens end by themselves.'
  return note({ about, code: 'no_revocation', words, clause })
}
