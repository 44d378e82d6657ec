// The programs that we know: where they are answered, where they describe themselves, and how a person connects anew in
// each. The one data file about them, with what follows from it; nothing is ever believed because of a name.
import { isLoopbackRedirect } from '../oauth/redirect-uri.ts'
import type { Client } from './clients.ts'

/** One program, as its makers have published it or as it has been seen to behave. */
export interface KnownClient {
  readonly name: string
  readonly maker: string
  /** URLs of its documents (CIMD), where it has any: exact, or with one part that differs. */
  readonly documents: readonly (string | RegExp)[]
  readonly callbacks: readonly (string | RegExp)[]
  /** What it calls itself, in plain letters; used to warn, never to trust. */
  readonly names: readonly string[]
  /** How a person connects anew in it. */
  readonly reconnect: string
  /** How it differs from what one would expect. */
  readonly quirks: readonly string[]
}

/** On this machine at any port (RFC 8252 §7.3). */
function local(path: string): RegExp {
  return new RegExp(String.raw`^http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?${path}$`)
}

/** Where Claude.ai is answered, for who makes its client by hand. */
export const claudeRedirectUris: readonly string[] = [
  'https://claude.ai/api/mcp/auth_callback',
  'https://claude.com/api/mcp/auth_callback',
  // From before connectors were called so; made by hand only.
  'https://claude.ai/oauth/callback',
  'https://claude.ai/api/oauth/callback',
]

/** All of them. */
export const knownClients: readonly KnownClient[] = [
  {
    name: 'Claude',
    maker: 'Anthropic',
    documents: ['https://claude.ai/oauth/mcp-oauth-client-metadata'],
    callbacks: claudeRedirectUris,
    names: ['claude', 'claudeai', 'anthropic'],
    reconnect: 'In Claude, open Settings, then Connectors. Remove this connector and add it again.',
    quirks: [
      'Describes itself by its document only where the metadata lists both that and the method none; else it registers on each connect.',
      'Does not register again by itself after invalid_client.',
      'Asks for the scopes of the metadata, in its order.',
    ],
  },
  {
    name: 'Claude Code',
    maker: 'Anthropic',
    documents: ['https://claude.ai/oauth/claude-code-client-metadata'],
    callbacks: [local('/callback')],
    names: ['claude code', 'claude', 'anthropic'],
    reconnect:
      'In Claude Code, type /mcp, choose this server, clear its authentication, and authenticate again.',
    quirks: [
      'All installs share one document, so a client is many devices.',
      'Several processes refresh the same token at once.',
    ],
  },
  {
    name: 'Codex',
    maker: 'OpenAI',
    documents: ['https://chatgpt.com/oauth/codex/client.json'],
    callbacks: [local(String.raw`/callback(?:/[\w-]{1,64})?`)],
    names: ['codex', 'openai'],
    reconnect:
      'For Codex, run "codex mcp logout" and then "codex mcp login" with the name of this server.',
    quirks: ['Its processes keep old refresh tokens for a while.'],
  },
  {
    name: 'ChatGPT',
    maker: 'OpenAI',
    documents: [
      'https://chatgpt.com/oauth/client.json',
      /^https:\/\/chatgpt\.com\/oauth\/[\w-]{1,64}\/client\.json$/,
    ],
    callbacks: [
      'https://chatgpt.com/connector_platform_oauth_redirect',
      /^https:\/\/chatgpt\.com\/connector\/oauth\/[\w-]{1,64}$/,
    ],
    names: ['chatgpt', 'chat gpt', 'openai'],
    reconnect:
      'In ChatGPT, open Settings, then Apps and Connectors. Disconnect this one and connect it again.',
    quirks: [
      'Proves itself with private_key_jwt where that is listed.',
      'May present an old refresh token a minute later.',
    ],
  },
  {
    name: 'Cursor',
    maker: 'Anysphere',
    documents: [],
    callbacks: [
      'cursor://anysphere.cursor-mcp/oauth/callback',
      'https://www.cursor.com/agents/mcp/oauth/callback',
      'http://localhost:8787/callback',
    ],
    names: ['cursor'],
    reconnect:
      'In Cursor, open Settings, then Tools and MCP. Log this server out and connect it again.',
    quirks: ['Registers as a web client although it is answered at a scheme of its own.'],
  },
  {
    name: 'VS Code',
    maker: 'Microsoft',
    documents: ['https://vscode.dev/oauth/client-metadata.json'],
    callbacks: ['https://vscode.dev/redirect', 'https://insiders.vscode.dev/redirect', local('/?')],
    names: ['vs code', 'vscode', 'visual studio code'],
    reconnect:
      'In VS Code, run the command "Authentication: Remove Dynamic Authentication Providers", then start this server again.',
    quirks: ['Listens at the root of a local port.'],
  },
  {
    name: 'Gemini CLI',
    maker: 'Google',
    documents: [],
    callbacks: [local('/oauth/callback')],
    names: ['gemini cli', 'gemini'],
    reconnect: 'In Gemini CLI, type /mcp auth and the name of this server.',
    quirks: ['Takes another local port each time.'],
  },
  {
    name: 'Goose',
    maker: 'Block',
    documents: [],
    callbacks: [local('/oauth_callback')],
    names: ['goose'],
    reconnect: 'In Goose, remove this extension and add it again.',
    quirks: ['Takes another local port each time.'],
  },
  {
    name: 'MCP Inspector',
    maker: 'the Model Context Protocol project',
    documents: [],
    callbacks: [local('/oauth/callback(?:/debug)?')],
    names: ['mcp inspector'],
    reconnect: 'In the Inspector, open the auth settings, clear the OAuth state and connect again.',
    quirks: ['Keeps its client id in the storage of the browser.'],
  },
  {
    name: 'Copilot Studio',
    maker: 'Microsoft',
    documents: [],
    callbacks: [/^https:\/\/global\.consent\.azure-apim\.net\/redirect\/[\w-]{1,128}$/],
    names: ['copilot studio'],
    reconnect: 'In Copilot Studio, delete the connection of this tool and create it again.',
    quirks: ['Is made by hand, with a secret; its callback is known only after that.'],
  },
]

/**
 * The program that this surely is: the document comes from its makers' own address, and the answer goes to their address
 * too. Never for a local answer: any program on the machine can present a document's URL (RFC 8252 §8.6).
 */
export function verifiedAs(
  { kind, id }: Pick<Client, 'kind' | 'id'>,
  redirectUri: string,
): KnownClient | undefined {
  if (isLoopbackRedirect(redirectUri)) return undefined
  const known = describedAs({ kind, id })
  return known !== undefined && isAmong(known.callbacks, redirectUri) ? known : undefined
}

/** The program whose makers' document this client is, wherever it is answered; undefined if none. */
export function describedAs({ kind, id }: Pick<Client, 'kind' | 'id'>): KnownClient | undefined {
  if (kind !== 'document') return undefined
  return knownClients.find(({ documents }) => isAmong(documents, id))
}

/** The program whose name this is, whoever bears it: the one that is called exactly so, else the first; undefined if none. */
export function namedAs(name: string): KnownClient | undefined {
  const claimed = knownClients.filter((known) => bears(name, known))
  return claimed.find((known) => plainLetters(known.name) === plainLetters(name)) ?? claimed[0]
}

/** The program that this is, wherever its answers go: all of its addresses are its makers' own. */
export function surelyIs(
  client: Pick<Client, 'kind' | 'id' | 'metadata'>,
): KnownClient | undefined {
  const [first, ...others] = client.metadata.redirect_uris.map((uri) => verifiedAs(client, uri))
  return others.every((one) => one === first) ? first : undefined
}

/**
 * The program whose name a client bears although it is answered elsewhere than that one; undefined if none. What is
 * answered on this machine can be anything, by any name, and has a warning of its own.
 */
export function pretendsToBe(name: string, redirectUri: string): KnownClient | undefined {
  if (isLoopbackRedirect(redirectUri)) return undefined
  const claimed = knownClients.filter((known) => bears(name, known))
  const isOne = claimed.some(({ callbacks }) => isAmong(callbacks, redirectUri))
  return isOne ? undefined : claimed[0]
}

/** The programs that a request may have come from, by what it says of itself: for advice, not for trust. */
export function mayBe(request: {
  readonly clientId: string
  readonly redirectUri: string | undefined
}): readonly KnownClient[] {
  const { clientId, redirectUri } = request
  const byDocument = knownClients.find(({ documents }) => isAmong(documents, clientId))
  if (byDocument !== undefined) return [byDocument]
  if (redirectUri === undefined) return []
  return knownClients.filter(({ callbacks }) => isAmong(callbacks, redirectUri))
}

/** What a person does when the program that sent them here is not known any more, in words for exactly that program. */
export function howToReconnect(request: Parameters<typeof mayBe>[0]): string {
  const programs = mayBe(request)
  if (programs.length > 0) return programs.map(({ reconnect }) => reconnect).join(' ')
  return 'In the program that sent you here, remove this connection and add it again: it then introduces itself anew.'
}

function isAmong(places: readonly (string | RegExp)[], uri: string): boolean {
  return places.some((place) => (typeof place === 'string' ? place === uri : place.test(uri)))
}

function bears(name: string, { names }: KnownClient): boolean {
  const plain = ` ${plainLetters(name)} `
  return names.some((one) => plain.includes(` ${one} `))
}

/** Letters of other alphabets that look like Latin ones, so that a name cannot be spelt with them. */
const lookAlikes: Readonly<Record<string, string>> = {
  а: 'a',
  в: 'b',
  с: 'c',
  ԁ: 'd',
  е: 'e',
  һ: 'h',
  і: 'i',
  ј: 'j',
  к: 'k',
  ӏ: 'l',
  м: 'm',
  н: 'h',
  о: 'o',
  р: 'p',
  ԛ: 'q',
  ѕ: 's',
  т: 't',
  у: 'y',
  х: 'x',
  α: 'a',
  ο: 'o',
  ρ: 'p',
  υ: 'u',
  ν: 'v',
  ι: 'i',
  κ: 'k',
  τ: 't',
  ⅼ: 'l',
  ı: 'i',
  '0': 'o',
  '1': 'l',
}

function plainLetters(name: string): string {
  const letters = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  return Array.from(letters, (letter) => lookAlikes[letter] ?? letter)
    .join('')
    .replace(/[^a-z]+/g, ' ')
    .trim()
}
