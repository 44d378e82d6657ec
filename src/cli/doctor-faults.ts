// A refusal of discovery in the words of `latchkey doctor`: what is wrong, against which clause, and who can mend it. What
// the API hides from strangers (X-14) is said here, where only whoever runs this Latchkey asks.
import { isFault } from '../base/fault.ts'
import type { Fault, FaultCode } from '../base/fault.ts'
import { wrong } from './doctor-finding.ts'
import type { Finding, Mender, Subject } from './doctor-finding.ts'

/** Where it happened. */
export interface Place {
  readonly about: Subject
  readonly url: string
}

/** The finding behind a refusal. */
export function explain(fault: Fault, { about, url }: Place): Finding {
  const root = rootOf(fault)
  const told = words[root.code] ?? otherwise
  const { code, how, ...said } = told({ root, url, by: menderOf(about), about })
  const isOurs = about === 'address' && ownToMend.has(root.code)
  return wrong({
    about,
    code,
    ...said,
    mend: { by: isOurs ? 'administrator' : menderOf(about), how },
  })
}

// Whoever gave an address can give another one, or allow its network.
const ownToMend: ReadonlySet<FaultCode> = new Set([
  'discovery_blocked',
  'insecure_endpoint',
  'name_unresolved',
])

function menderOf(about: Subject): Mender {
  return about === 'provider' || about === 'client' ? 'provider' : 'server'
}

/** The first cause: what is told to strangers hides it. */
function rootOf(fault: Fault): Fault {
  return isFault(fault.cause) ? rootOf(fault.cause) : fault
}

interface Facts {
  readonly root: Fault
  readonly url: string
  readonly by: Mender
  readonly about: Subject
}

interface Told {
  readonly code: string
  readonly words: string
  readonly how: string
  readonly clause?: string
}

const allowing =
  'If it is in a network of your own, allow that: --allow-private loopback, or a CIDR such as 10.0.0.0/8; for good in LATCHKEY_ALLOW_PRIVATE_NETWORKS.'

const words: Partial<Record<FaultCode, (facts: Facts) => Told>> = {
  insecure_endpoint: ({ root, url, about }) => ({
    code: 'insecure_endpoint',
    words: `${url} leads to an address without https (${root.because}).`,
    clause: 'OAuth 2.1 §1.5; MCP authorization, "Communication Security"',
    how: about === 'address' ? `Use its https address. ${allowing}` : 'Serve and name https only.',
  }),
  discovery_blocked: (facts) =>
    facts.root.detail === undefined ? unreadable(facts) : inside(facts),
  name_unresolved: ({ url }) => ({
    code: 'name_unresolved',
    words: `The name in ${url} has no address, or DNS does not answer.`,
    how: 'Check how it is spelt, and its DNS records.',
  }),
  network_error: (facts) => unreachable(facts),
  timeout: ({ url }) => ({
    code: 'timeout',
    words: `${url} did not answer in time.`,
    how: 'Look why it is slow. --timeout gives it more time here, but not in a sign-in.',
  }),
  upstream_timeout: (facts) => unreachable(facts),
  provider_unreachable: ({ root, url }) => ({
    code: 'in_trouble',
    words: `${url}: ${root.because.replace(/^\w+_metadata is /, 'is ')}.`,
    clause: 'RFC 9110 §15.6',
    how: 'Mend what answers there; a document is 200 with JSON, or 404 where there is none.',
  }),
  resource_mismatch: ({ root, url }) => ({
    code: 'resource_mismatch',
    words: `Its metadata is about another server, so that a token for it would be one for somewhere else: ${root.because}.`,
    clause: 'RFC 9728 §3.3',
    how: `Publish "resource": "${url}", to the letter.`,
  }),
  issuer_mismatch: ({ root }) => ({
    code: 'issuer_mismatch',
    words: `Its metadata is of another issuer: ${root.because}. Issuers are compared byte for byte; a slash more is another one.`,
    clause: 'RFC 8414 §3.3; OpenID Connect Discovery §4.3',
    how: 'Let the MCP server name the issuer exactly as the metadata do.',
  }),
  pkce_unsupported: () => ({
    code: 'pkce_unsupported',
    words:
      'It does not say that it knows PKCE with S256: code_challenge_methods_supported does not name it.',
    clause: 'MCP authorization, "Authorization Code Protection"; OAuth 2.1 §7.5',
    how: 'Publish "code_challenge_methods_supported": ["S256"].',
  }),
}

function inside({ root, url }: Facts): Told {
  return {
    code: 'private_address',
    words: `${url} leads to where Latchkey does not go (${root.because.replace(/;.*/s, '')}).`,
    clause: 'RFC 9728 §7.7; MCP security best practices, "Server-Side Request Forgery"',
    how: `Use a public address with port 443. ${allowing}`,
  }
}

function unreadable({ root, url }: Facts): Told {
  return {
    code: 'unreadable',
    words: `The answer of ${url} is not read: ${root.because}.`,
    clause: 'RFC 9728 §7.7',
    how: 'Answer with a small JSON document, plain or packed once.',
  }
}

function unreachable({ root, url }: Facts): Told {
  const name = networkCode(root)
  const tls = tlsTroubles.find(({ names }) => names.test(name))
  if (tls !== undefined) {
    return {
      code: 'tls',
      words: `${url}: ${tls.words} (${name}).`,
      clause: 'OAuth 2.1 §1.5; RFC 9525',
      how: tls.how,
    }
  }
  const known = networkTroubles[name] ?? 'the connection failed'
  return {
    code: 'unreachable',
    words: `${url} cannot be reached: ${known}${name === '' ? '' : ` (${name})`}.`,
    how: 'Check that it runs, its port, and what stands in front of it.',
  }
}

const tlsTroubles = [
  { names: /EXPIRED/, words: 'its certificate has expired', how: 'Renew it.' },
  {
    names: /ALTNAME/,
    words: 'its certificate is for another name',
    how: 'Use a certificate for this name.',
  },
  {
    names: /SELF_SIGNED|UNABLE_TO|CERT_/,
    words: 'nobody whom Node knows vouches for its certificate',
    how: 'Send the whole chain of a public authority; for one of your own set NODE_EXTRA_CA_CERTS here.',
  },
  {
    names: /SSL|TLS|EPROTO/,
    words: 'what answers there does not speak TLS as it should',
    how: 'Check that this port is the one of https.',
  },
] as const

const networkTroubles: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  EHOSTUNREACH: 'there is no way to its network',
  ENETUNREACH: 'there is no way to its network',
  HPE_INVALID_CONSTANT: 'what answers there does not speak HTTP',
}

/** The network's own name for what happened, kept by the outbound client. */
function networkCode({ cause }: Fault): string {
  const code: unknown =
    typeof cause === 'object' && cause !== null ? Reflect.get(cause, 'code') : undefined
  return typeof code === 'string' ? code : ''
}

function otherwise({ root, url, about }: Facts): Told {
  const clauses: Partial<Record<Subject, string>> = {
    provider: 'RFC 8414 §2 and §3.2',
    resource: 'RFC 9728 §2 and §3.2',
    challenge: 'MCP authorization, "Error Handling"',
  }
  const clause = clauses[about]
  return {
    code: root.code,
    words: root.because.includes(url) ? `${root.because}.` : `${url}: ${root.because}.`,
    ...(clause === undefined ? {} : { clause }),
    how: 'Publish what the clause asks for.',
  }
}
