// What is right and wrong with what an MCP server says about itself (RFC 9728): where its metadata is, whether it is about
// this server, and which authorization servers it names. Pure: reads one look.
import { sameResource } from '../upstream/protected-resource.ts'
import type { Exchange } from '../upstream/trace.ts'
import { contentTypeFindings } from './doctor-content-type.ts'
import { explain } from './doctor-faults.ts'
import { note, right, stopping, wrong } from './doctor-finding.ts'
import type { Finding } from './doctor-finding.ts'
import { documentOf, exchangesOf, isSuccess, textsIn } from './doctor-look.ts'
import type { Look } from './doctor-look.ts'
import { namedPlace } from './doctor-server.ts'

const documentStep = 'protected_resource_metadata'

/** Where is its metadata, and is it about this server? */
export function resourceFindings(look: Look): readonly Finding[] {
  const asked = exchangesOf(look, documentStep)
  const named = namedPlace(look)
  const found = asked.find((exchange) => documentOf(exchange) !== undefined)
  const missed = asked
    .filter((exchange) => exchange !== found)
    .flatMap((exchange) => missedPlace(exchange, { named, look }))
  if (found === undefined) {
    const isCut = missed.some(({ stops }) => stops === true)
    return isCut ? missed : [...missed, ...nothingFound(look, asked)]
  }
  return [...missed, placeOf(found, named), ...aboutDocument(look, found)]
}

function missedPlace(
  { url, response, error }: Exchange,
  { named, look }: { readonly named: string | undefined; readonly look: Look },
): readonly Finding[] {
  const about = 'resource'
  if (error !== undefined) {
    return look.outcome.kind === 'refused'
      ? [stopping(explain(look.outcome.fault, { about, url }))]
      : []
  }
  const status = response?.status ?? 0
  const isJson = isSuccess(status) && response?.text.trimStart().startsWith('{') === true
  // Trouble behind a place, or JSON that is none, ends the search.
  if (isJson || isTrouble(look, url)) {
    return look.outcome.kind === 'refused'
      ? [stopping(explain(look.outcome.fault, { about, url }))]
      : []
  }
  const what = isSuccess(status) ? 'is a page, not JSON' : `is answered ${status}`
  const clause = 'RFC 9728 §3.2 and §5.1'
  const mend = { by: 'server', how: 'Publish the metadata there as JSON.' } as const
  if (url === named) {
    const words = `${url}, which its challenge names, ${what}.`
    return [wrong({ about, code: 'named_place_empty', words, clause, mend })]
  }
  if (!isSuccess(status)) return []
  return [note({ about, code: 'page_instead', words: `${url} ${what}.`, clause, mend })]
}

/** Did the whole look end at this address? */
function isTrouble({ outcome, exchanges }: Look, url: string): boolean {
  return outcome.kind === 'refused' && exchanges.at(-1)?.url === url
}

function nothingFound({ outcome }: Look, asked: readonly Exchange[]): readonly Finding[] {
  if (asked.length === 0) return []
  const kind = outcome.kind === 'seen' ? outcome.inspection.kind : 'oauth'
  if (kind === 'open') return []
  const about = 'resource'
  const words = 'It publishes no metadata about itself.'
  const clause = 'MCP authorization, "Authorization Server Discovery"; RFC 9728 §3'
  if (kind === 'headers') return [note({ about, code: 'no_metadata', words, clause })]
  const where = asked.at(-1)?.url ?? ''
  const how = `Publish it, for instance at ${where}, and name it in the challenge.`
  return [wrong({ about, code: 'no_metadata', words, clause, mend: { by: 'server', how } })]
}

function placeOf({ url, response }: Exchange, named: string | undefined): Finding {
  const about = 'resource'
  const how = url === named ? 'where its challenge says' : 'at the usual place'
  const clause = url === named ? 'RFC 9728 §5.1' : 'RFC 9728 §3.1'
  const from = response?.url ?? url
  if (new URL(from).origin === new URL(url).origin) {
    return right({ about, code: 'metadata', words: `Its metadata is ${how}: ${url}`, clause })
  }
  return note({
    about,
    code: 'metadata_elsewhere',
    words: `Its metadata is ${how}, ${url}, but that leads on to ${from}. Latchkey follows twice; other clients may not.`,
    clause,
    mend: { by: 'server', how: 'Answer with the document itself.' },
  })
}

function aboutDocument(look: Look, found: Exchange): readonly Finding[] {
  const document = documentOf(found) ?? {}
  return [
    ...contentTypeFindings(found, {
      about: 'resource',
      named: found.url,
      clause: 'RFC 9728 §3.2',
      by: 'server',
    }),
    ...identityFindings(look, { document, place: found.url }),
    ...methodFindings(document),
    ...issuersFindings(look, document),
  ]
}

function identityFindings(
  { url, outcome, exchanges }: Look,
  { document, place }: { readonly document: Record<string, unknown>; readonly place: string },
): readonly Finding[] {
  const about = 'resource'
  // The look went on from here only if it could use the document.
  if (outcome.kind === 'refused' && exchanges.at(-1)?.url === place) {
    return [stopping(explain(outcome.fault, { about, url }))]
  }
  const resource = String(document['resource'])
  const clause = 'RFC 9728 §3.3'
  if (resource === url) {
    return [
      right({ about, code: 'resource', words: 'It names itself as it was asked for.', clause }),
    ]
  }
  const isSame = sameResource(resource, url)
  const words = isSame
    ? `It writes itself ${resource}. That is the same address; tokens are asked for in this spelling.`
    : `It says that it is a part of ${resource}; tokens are asked for that whole.`
  return [note({ about, code: isSame ? 'resource_spelling' : 'resource_above', words, clause })]
}

function methodFindings(document: Record<string, unknown>): readonly Finding[] {
  const methods = textsIn(document, 'bearer_methods_supported')
  if (methods === undefined || methods.includes('header')) return []
  return [
    wrong({
      about: 'resource',
      code: 'no_header_method',
      words:
        'It does not take a token in the Authorization field, and Latchkey sends it nowhere else.',
      clause: 'RFC 9728 §2; MCP authorization, "Token Requirements"',
      mend: { by: 'server', how: 'List "header" in bearer_methods_supported.' },
    }),
  ]
}

function issuersFindings(
  { issuer, outcome }: Look,
  document: Record<string, unknown>,
): readonly Finding[] {
  if (issuer !== undefined) return []
  const about = 'resource'
  const listed = textsIn(document, 'authorization_servers') ?? []
  const clause = 'MCP authorization, "Authorization Server Location"; RFC 9728 §2'
  if (listed.length === 0) {
    const words = 'It names no authorization server; one at its own origin is tried.'
    const mend = { by: 'server', how: 'List the issuer in authorization_servers.' } as const
    return [wrong({ about, code: 'no_issuer', words, clause, mend })]
  }
  const [only] = listed
  if (listed.length === 1) {
    const words = `It names its authorization server: ${only}`
    return [right({ about, code: 'issuer', words, clause })]
  }
  const chosen =
    outcome.kind === 'seen' && outcome.inspection.kind === 'oauth'
      ? `Latchkey takes ${outcome.inspection.discovery.issuer}, the first that is in order`
      : 'none of them is in order'
  const words = `It names ${listed.length} authorization servers, and ${chosen}: ${listed.join(', ')}`
  return [note({ about, code: 'issuers', words, clause: 'RFC 9728 §7.6' })]
}
