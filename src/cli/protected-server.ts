// The one server of `latchkey protect`: read from the words of the command, found by its address or made.
import { readFileSync } from 'node:fs'
import type { Environment } from '../config.ts'
import { operatorAtTheMachine } from '../people/principal.ts'
import type { Platform } from '../platform.ts'

/** The options that say what the server is like. */
export interface WishOptions {
  readonly name?: string
  readonly slug?: string
  readonly header?: readonly string[]
  readonly scopes?: string
}

/** The server as the person wants it; what they did not say is not there. */
export interface Wish {
  readonly url: string
  readonly name?: string
  readonly slug?: string
  readonly auth?: 'headers'
  readonly headers?: Readonly<Record<string, string>>
  readonly toolScopes?: readonly ToolScope[]
}

interface ToolScope {
  readonly scope: string
  readonly tools: readonly string[]
}

export interface ProtectedServer {
  readonly id: string
  readonly name: string
  readonly slug: string
  /** What clients are given. */
  readonly url: string
  readonly upstreamUrl: string
  readonly isNew: boolean
}

/** Reads the words of the command. Throws an Error in plain words. */
export function readWish(url: string, options: WishOptions, environment: Environment): Wish {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Error(`${url} is no address of an MCP server, such as http://localhost:3000/mcp.`)
  }
  const { name, slug, header, scopes } = options
  return {
    url,
    ...(name === undefined ? {} : { name }),
    ...(slug === undefined ? {} : { slug }),
    ...(header === undefined
      ? {}
      : {
          auth: 'headers',
          headers: Object.fromEntries(header.map((line) => readHeader(line, environment))),
        }),
    ...(scopes === undefined ? {} : { toolScopes: readScopes(scopes) }),
  }
}

function readHeader(line: string, environment: Environment): readonly [string, string] {
  const { name, kind, place } =
    /^(?<name>[^:\s]+):\s*(?<kind>env|file):(?<place>.+)$/.exec(line)?.groups ?? {}
  if (name === undefined || place === undefined) {
    // The line itself may hold the secret, so it is not repeated.
    throw new Error(
      '--header says where the value is, because others on this machine can read the words of a command: "Authorization: env:MY_VARIABLE" or "Authorization: file:secret.txt".',
    )
  }
  const value = (kind === 'env' ? environment[place] : readText(place))?.trim()
  if (value !== undefined && value !== '') return [name, value]
  throw new Error(`--header: ${kind === 'env' ? 'the variable' : 'the file'} ${place} is empty.`)
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Error(`--header: the file ${file} cannot be read.`, { cause })
  }
}

function readScopes(text: string): readonly ToolScope[] {
  return text
    .split(/\s+/)
    .filter((part) => part !== '')
    .map((part) => {
      const { scope, tools } = /^(?<scope>[^=]+)=(?<tools>[^=]+)$/.exec(part)?.groups ?? {}
      if (scope !== undefined && tools !== undefined) return { scope, tools: tools.split(',') }
      throw new Error(
        '--scopes is a list of scopes with their tools: "notes:read=list_*,get_note".',
      )
    })
}

/**
 * The server at this address: as it is, changed where the words say more, or made. Throws Fault('invalid_input' |
 * 'conflict' | 'insecure_endpoint' | 'discovery_blocked').
 */
export async function ensureServer(platform: Platform, wish: Wish): Promise<ProtectedServer> {
  const by = operatorAtTheMachine(platform.tenant)
  await addScopes(platform, wish)
  const before = await platform.servers.byAddress(platform.tenant, wish.url)
  const server =
    before === undefined
      ? await platform.servers.create(by, { auth: 'none', ...wish })
      : await changed(platform, before, wish)
  const { id, name, slug } = server
  const url = `${platform.tenant.issuer}/${slug}/mcp`
  return { id, name, slug, url, upstreamUrl: wish.url, isNew: before === undefined }
}

/** A command that is repeated as it was changes nothing, and writes nothing into the journal. */
async function changed(
  { servers, tenant }: Platform,
  before: Server,
  wish: Wish,
): Promise<Pick<Server, 'id' | 'name' | 'slug'>> {
  const { url: _same, ...more } = wish
  if (Object.keys(more).length === 0) return before
  return servers.update(operatorAtTheMachine(tenant), before.id, more)
}

type Server = NonNullable<Awaited<ReturnType<Platform['servers']['byAddress']>>>

/** A scope that nobody has described yet gets its name for words; the pages for people show it so. */
async function addScopes({ scopes, tenant }: Platform, { toolScopes = [] }: Wish): Promise<void> {
  const names = toolScopes.map(({ scope }) => scope)
  const known = await scopes.known(tenant, names)
  for (const name of names.filter((one) => !known.includes(one))) {
    await scopes.create(operatorAtTheMachine(tenant), { name, words: `Use what “${name}” opens` })
  }
}
