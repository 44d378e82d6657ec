// `latchkey protect <url>`: one MCP server with OAuth in front of it, in one command. Starts Latchkey with that server already
// there, and says what to give to whom.
import type { Command } from 'commander'
import { isFault } from '../base/fault.ts'
import { createLog } from '../base/log.ts'
import type { Config, Environment } from '../config.ts'
import { readConfig } from '../config.ts'
import type { Platform } from '../platform.ts'
import { cautions } from './cautions.ts'
import { ensureServer, readWish } from './protected-server.ts'
import type { ProtectedServer, WishOptions } from './protected-server.ts'
import { answersAt, placesOf } from './protected-place.ts'
import { printable } from './terminal.ts'

interface ProtectOptions extends WishOptions {
  readonly publicUrl?: string
  readonly listen?: string
  readonly data?: string
  readonly json?: boolean
}

/** Adds the command. */
export function addProtect(program: Command): void {
  const list = (value: string, before: readonly string[] = []) => [...before, value]
  program
    .command('protect <url>')
    .description('put OAuth in front of one MCP server: starts, with that server already there')
    .option('--name <name>', 'what people see')
    .option('--slug <slug>', 'its path here: /<slug>/mcp')
    .option(
      '--header <line>',
      'a field that your server asks for, its value not among the words of this command: "Name: env:VARIABLE" or "Name: file:path"; may come several times',
      list,
    )
    .option(
      '--scopes <list>',
      'which scope opens which tools: "notes:read=list_*,get_note notes:write=save_*"; without it one scope opens all',
    )
    .option('--public-url <origin>', 'where people and programs reach this (LATCHKEY_PUBLIC_URL)')
    .option('--listen <host:port>', 'where it listens (LATCHKEY_LISTEN)')
    .option('--data <folder>', 'where it keeps its database and key (LATCHKEY_DATA)')
    .option('--json', 'say where everything is as one line of JSON')
    .action((url: string, options: ProtectOptions) => protect(url, options))
}

async function protect(url: string, options: ProtectOptions): Promise<void> {
  const wish = readWish(url, options, process.env)
  const settings = readConfig(environmentOf(process.env, options))
  if (new URL(url).origin === settings.publicUrl) {
    throw new Error(`${url} would be Latchkey itself. Say --listen for another port.`)
  }
  const places = placesOf(url, settings)
  const allowPrivateNetworks = [...settings.allowPrivateNetworks, ...places]
  const config: Config = { ...settings, allowPrivateNetworks }
  const log = createLog(config.logLevel, (line) => process.stderr.write(line))
  // Only here are the doors loaded, which every other command starts quicker without.
  const { createPlatform } = await import('../platform.ts')
  const { stopOnSignal } = await import('./start.ts')
  const platform = await createPlatform(config, { log, opensPort: true })
  try {
    const server = await ensureServer(platform, wish).catch(whenBlocked(url))
    const facts = { server, places, config, setupUrl: await platform.setupLink() }
    console.log(options.json === true ? jsonOf(facts) : printable(await wordsOf(facts)))
  } catch (thrown) {
    await platform.close()
    throw thrown
  }
  stopOnSignal(platform)
}

/** The catalogue's words are for whoever pastes an address into a page; who runs this can open the way. */
function whenBlocked(url: string): (thrown: unknown) => never {
  return (thrown) => {
    const isBlocked =
      isFault(thrown) && ['insecure_endpoint', 'discovery_blocked'].includes(thrown.code)
    if (!isBlocked) throw thrown
    const words = `${url} is neither https nor on this machine. If it is in a network of yours, allow that: LATCHKEY_ALLOW_PRIVATE_NETWORKS=10.0.0.0/8, for example.`
    throw new Error(words, { cause: thrown })
  }
}

/** The options stand for settings, and above them. */
function environmentOf(
  environment: Environment,
  { publicUrl, listen, data }: ProtectOptions,
): Environment {
  return {
    ...environment,
    ...(publicUrl === undefined ? {} : { LATCHKEY_PUBLIC_URL: publicUrl }),
    ...(listen === undefined ? {} : { LATCHKEY_LISTEN: listen }),
    ...(data === undefined ? {} : { LATCHKEY_DATA: data }),
  }
}

interface Facts {
  readonly server: ProtectedServer
  /** What naming the address has opened for outbound calls. */
  readonly places: readonly string[]
  readonly config: Config
  readonly setupUrl: Awaited<ReturnType<Platform['setupLink']>>
}

function jsonOf({ server, places, config, setupUrl }: Facts): string {
  const { publicUrl } = config
  const links = { setupUrl: setupUrl ?? null, signInUrl: `${publicUrl}/sign-in` }
  return JSON.stringify({ ...server, publicUrl, ...links, allowed: places })
}

async function wordsOf({ server, places, config, setupUrl }: Facts): Promise<string> {
  const { url, upstreamUrl, slug, isNew } = server
  const { publicUrl } = config
  const consent =
    places.length === 0 ? [] : [`Calls may reach ${places.join(' and ')}, because you named it.`]
  const others = {
    ...config,
    allowPrivateNetworks: config.allowPrivateNetworks.filter((one) => !places.includes(one)),
  }
  const lines = [
    `${server.name} (${upstreamUrl}) is ${isNew ? 'now' : 'still'} protected. Give clients this address:`,
    `  ${url}`,
    ...consent,
    ...cautions(others),
    ...(await answersAt(upstreamUrl, config)),
    'What to do next:',
    setupUrl === undefined
      ? `  1. Sign in: ${publicUrl}/sign-in`
      : `  1. Make your account within a day, with this link that works once:\n     ${setupUrl}`,
    `  2. Add it to a client: claude mcp add --transport http ${slug} ${url}`,
    '  3. The client opens your browser: see who asks for what, and approve.',
    '  4. Let your server listen on 127.0.0.1 only: whoever reaches it directly passes no sign-in.',
    `  5. See and end what has access: ${publicUrl}/console/apps`,
  ]
  return lines.join('\n')
}
