// `latchkey doctor [mcp-url]`: walks discovery to the sign-in page of any MCP server, and says in plain words what is right,
// what is wrong against which clause, and what will happen. Signs in nowhere, sends no secret, changes nothing unless told.
import { Option } from 'commander'
import type { Command } from 'commander'
import { createAddressRules } from '../base/addresses.ts'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import type { Outbound } from '../base/outbound.ts'
import { readConfig } from '../config.ts'
import type { Config } from '../config.ts'
import type { Us } from './doctor-client.ts'
import { examineHome } from './doctor-home.ts'
import { reportOf, textOf } from './doctor-report.ts'
import { visit } from './doctor-visit.ts'
import { splitList, terminal } from './terminal.ts'

interface DoctorOptions {
  readonly issuer?: string
  readonly clientId?: string
  readonly scopes?: string
  readonly register?: boolean
  readonly allowPrivate?: string
  readonly timeout: number
  readonly json?: boolean
}

const usageCode = 2
const troubleCode = 1
const secondsMax = 300

/** Adds the command. */
export function addDoctor(program: Command): void {
  const doctor = program
    .command('doctor [mcp-url]')
    .description('say whether people could sign in to an MCP server, or how this installation is')
    .option('--issuer <url>', 'its authorization server, instead of the one that it names')
    .option('--client-id <id>', 'our client id there, as if it had been entered')
    .option('--scopes <scopes>', 'the scopes to ask for there')
    .option('--register', 'try a dynamic registration for real, and delete it again')
    .option('--allow-private <networks>', 'networks that may be called: CIDRs, or loopback')
    .addOption(
      new Option('--timeout <seconds>', 'how long the look at a server may take')
        .default(30)
        .argParser(Number),
    )
    .option('--json', 'as JSON')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : usageCode))
    .action(async (url: string | undefined, options: DoctorOptions) => {
      const because = url === undefined ? undefined : unusable(url, options)
      if (because !== undefined) doctor.error(`error: ${because}`)
      await (url === undefined ? visitHome(options) : visitServer(url, options))
    })
}

/** Why these words cannot be used; undefined where they can. */
export function unusable(
  given: string,
  { issuer, timeout, allowPrivate }: DoctorOptions,
): string | undefined {
  if (!isPlainAddress(given)) {
    return 'the address of an MCP server is http(s), without user, password and fragment'
  }
  // RFC 8414 §2: an issuer has no query.
  if (issuer !== undefined && (!isPlainAddress(issuer) || issuer.includes('?'))) {
    return '--issuer is an https address without a query'
  }
  if (!areNetworks(splitList(allowPrivate ?? ''))) {
    return '--allow-private is a list of networks such as 10.0.0.0/8, or loopback'
  }
  const isTime = timeout > 0 && timeout <= secondsMax
  return isTime ? undefined : `--timeout is a number of seconds up to ${secondsMax}`
}

function areNetworks(networks: readonly string[]): boolean {
  try {
    createAddressRules(networks, { takesPlaces: true })
    return true
  } catch {
    return false // What is wrong with it is said in the words of the option.
  }
}

function isPlainAddress(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, hash } = new URL(text)
  return /^https?:$/.test(protocol) && username === '' && password === '' && hash === ''
}

async function visitHome({ json }: DoctorOptions): Promise<void> {
  const findings = await examineHome(process.env)
  const ok = findings.every(({ verdict }) => verdict !== 'wrong')
  if (!ok) process.exitCode = troubleCode
  if (json === true) return terminal.print(JSON.stringify({ ok, findings }))
  const summary = ok ? 'This Latchkey is in order.' : 'Something is wrong with this Latchkey.'
  terminal.print(`${reportOf(findings)}\n\n${summary}`)
}

async function visitServer(url: string, options: DoctorOptions): Promise<void> {
  const config = readConfig(process.env)
  const outbound = openOutbound(config, options)
  const { issuer, timeout, register = false, json } = options
  const question = { url, issuer, timeMs: timeout * 1000, register }
  try {
    const report = await visit({ outbound, clock: systemClock }, question, us(config, options))
    if (!report.ok) process.exitCode = troubleCode
    terminal.print(json === true ? JSON.stringify(report) : textOf(report))
  } finally {
    await outbound.close()
  }
}

function openOutbound({ allowPrivateNetworks }: Config, { allowPrivate }: DoctorOptions): Outbound {
  const allow = [...allowPrivateNetworks, ...splitList(allowPrivate ?? '')]
  return createOutbound({ log: silentLog, clock: systemClock }, { allow })
}

function us({ publicUrl }: Config, { clientId, scopes }: DoctorOptions): Us {
  return { publicUrl, clientId, scopes }
}
