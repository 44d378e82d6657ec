// What is right and wrong with how an MCP server meets us: its address, and how it asks for a token. Pure: reads one look.
import { tokenChallenge } from '../upstream/protected-resource.ts'
import { explain } from './doctor-faults.ts'
import { note, right, stopping, wrong } from './doctor-finding.ts'
import type { Finding } from './doctor-finding.ts'
import { exchangesOf, isSuccess } from './doctor-look.ts'
import type { Look } from './doctor-look.ts'

/** Can it be reached, and how? */
export function addressFindings(look: Look): readonly Finding[] {
  const asked = exchangesOf(look, askedStep)
  const { outcome, url } = look
  if (outcome.kind === 'refused' && !asked.some(({ response }) => response !== undefined)) {
    return [stopping(explain(outcome.fault, { about: 'address', url }))]
  }
  return [encryption(url), ...transportFindings(look)]
}

function encryption(url: string): Finding {
  const about = 'address'
  if (url.startsWith('https:')) {
    return right({ about, code: 'https', words: 'It answers over https.', clause: tls })
  }
  const words =
    'It answers over plain http, because its network is allowed here. Whoever is on the way reads along.'
  return note({ about, code: 'plain_http', words, clause: tls })
}

function transportFindings({ outcome }: Look): readonly Finding[] {
  if (outcome.kind !== 'seen' || outcome.inspection.transport !== 'sse') return []
  const words =
    'It speaks only the older HTTP+SSE. Calls reach it, each in a session of its own; what needs a session that stays does not.'
  return [note({ about: 'address', code: 'older_transport', words, clause: 'MCP 2024-11-05' })]
}

const tls = 'OAuth 2.1 §1.5'
const askedStep = 'mcp_request_without_token'

/** How does it meet a caller without a token? */
export function challengeFindings(look: Look): readonly Finding[] {
  const last = exchangesOf(look, askedStep).at(-1)
  if (last === undefined) return []
  const { response } = last
  if (response === undefined) return cutShort(look)
  const { status } = response
  if (status === 401) return challengesIn(response.headers.get('www-authenticate'))
  const about = 'challenge'
  if (isSuccess(status)) {
    const words = 'It lets a caller without a token in, at least to say hello or to list its tools.'
    return [note({ about, code: 'open', words })]
  }
  return [
    wrong({
      about,
      code: 'no_401',
      words: `It answers ${status}, neither a result nor 401.`,
      clause: 'MCP authorization, "Error Handling"',
      mend: {
        by: status === 404 || status === 405 ? 'administrator' : 'server',
        how:
          status === 404 || status === 405
            ? 'Check the path: the address of an MCP server often ends in /mcp.'
            : 'Answer a request without a token with 401 and a Bearer challenge.',
      },
    }),
  ]
}

// Where even the first request was not answered, that is said of the address.
function cutShort(look: Look): readonly Finding[] {
  const { outcome, url } = look
  const isAnswered = exchangesOf(look, askedStep).some(({ response }) => response !== undefined)
  if (outcome.kind !== 'refused' || !isAnswered) return []
  return [stopping(explain(outcome.fault, { about: 'challenge', url }))]
}

const sendChallenge =
  'Send WWW-Authenticate: Bearer resource_metadata="…" with the address of its metadata.'

function challengesIn(header: string | null): readonly Finding[] {
  const about = 'challenge'
  const mend = { by: 'server', how: sendChallenge } as const
  if (header === null) {
    const words = 'It answers 401 without a WWW-Authenticate field, so nothing says how to sign in.'
    const clause = 'RFC 9110 §15.5.2; RFC 6750 §3'
    return [wrong({ about, code: 'no_challenge', words, clause, mend })]
  }
  const challenge = tokenChallenge(header)
  if (challenge === undefined) {
    const words = 'It answers 401, and its WWW-Authenticate field has no Bearer challenge.'
    return [wrong({ about, code: 'no_bearer', words, clause: 'RFC 6750 §3', mend })]
  }
  const clause = 'RFC 9728 §5.1'
  const { resourceMetadata, error } = challenge
  const hasBroken = resourceMetadata === undefined && /resource_metadata\s*=/i.test(header)
  return [
    asksFinding(challenge.proofs === 'required'),
    ...(hasBroken
      ? [
          wrong({
            about,
            code: 'resource_metadata_malformed',
            words: 'Its challenge names its metadata, but not by an http(s) address.',
            clause,
            mend,
          }),
        ]
      : []),
    ...(resourceMetadata === undefined && !hasBroken
      ? [
          note({
            about,
            code: 'resource_metadata_unnamed',
            words:
              'Its challenge does not name its metadata; clients have to look at the usual places.',
            clause,
            mend,
          }),
        ]
      : []),
    ...(error === undefined
      ? []
      : [
          note({
            about,
            code: 'challenge_error',
            words: `Its challenge says ${error} to a caller who sent nothing; some clients take that for a bad token.`,
            clause: 'RFC 6750 §3.1',
            mend: { by: 'server', how: 'Leave error out until a token was sent.' },
          }),
        ]),
  ]
}

function asksFinding(isBound: boolean): Finding {
  const about = 'challenge'
  if (isBound) {
    const words = 'It asks for a token that is bound to a key: 401 with a DPoP challenge.'
    return right({ about, code: 'challenge_dpop', words, clause: 'RFC 9449 §7.1' })
  }
  const words = 'It asks for a token: 401 with a Bearer challenge.'
  const clause = 'RFC 6750 §3; MCP authorization, "Error Handling"'
  return right({ about, code: 'challenge', words, clause })
}

/** Does it take no token that anybody could use who finds it? */
export function wantsBoundTokens(look: Look): boolean {
  const challenge = tokenChallenge(headerOf(look))
  return challenge?.proofs === 'required'
}

function headerOf(look: Look): string | null {
  const response = exchangesOf(look, askedStep).at(-1)?.response
  return response?.status === 401 ? response.headers.get('www-authenticate') : null
}

/** Where its challenge says that its metadata is. */
export function namedPlace(look: Look): string | undefined {
  return tokenChallenge(headerOf(look))?.resourceMetadata
}
