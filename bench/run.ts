// The benchmark of the authorization server: Latchkey on both databases, oidc-provider and better-auth, measured in turn
// by the same driver on the same machine. Prints a table in Markdown; `--write` puts it into docs/performance.md.
import { startPostgres } from '../test/postgres-server.ts'
import { asOwner, databaseUrl } from '../test/templates.ts'
import { connectionCount, measure } from './driver.ts'
import type { Load, Measured, Worker } from './driver.ts'
import { formatLiveTokens, measureLiveTokens } from './live-tokens.ts'
import type { LiveTokens } from './live-tokens.ts'
import { installPeers } from './peers.ts'
import { formatReport, writeReport } from './report.ts'
import type { Results } from './report.ts'
import { startSubject } from './subjects.ts'
import type { Running, Subject } from './subjects.ts'

const rounds = 3
const times = { warmUpMs: 2_000, countedMs: 5_000 }

installPeers()
const postgres = await startPostgres({ isDurable: true })
if (postgres.kind === 'none') throw new Error(`no Postgres: ${postgres.because}`)
const subjects: readonly Subject[] = [
  {
    name: 'Latchkey, embedded database',
    keeps: 'everything on disk, full sync',
    script: 'latchkey.ts',
  },
  {
    name: 'Latchkey, Postgres',
    keeps: 'everything on disk, by a Postgres on the same two cores',
    script: 'latchkey.ts',
    more: (round) => freshDatabase(postgres.url, round),
  },
  { name: 'oidc-provider 9', keeps: 'nothing: maps in memory', script: 'oidc-provider.ts' },
  {
    name: 'better-auth 1.7',
    keeps: 'everything on disk, full sync',
    script: 'better-auth.js',
  },
]
const results: Results[] = []
let liveTokens: readonly LiveTokens[] = []
try {
  for (let round = 1; round <= rounds; round += 1) {
    for (const subject of subjects) results.push(await runRound(round, subject))
  }
  liveTokens = await measureLiveTokens(postgres.url)
} finally {
  await postgres.stop()
}
const report = `${formatReport(results)}\n\n${formatLiveTokens(liveTokens)}`
console.log(report)
if (process.argv.includes('--write')) writeReport('npm run bench', report)

async function runRound(round: number, subject: Subject): Promise<Results> {
  const running = await startSubject(subject, round)
  try {
    const clientCredentials = await measure(askForTokens(running), times)
    const introspection = await measure(await askAboutToken(running), times)
    const refresh = await measure(refreshTokens(running), times)
    const result = {
      subject,
      clientCredentials,
      introspection,
      refresh,
    }
    console.error(`round ${round}, ${subject.name}: ${describe(result)}`)
    return result
  } finally {
    await running.stop()
  }
}

function describe(result: Results): string {
  const rate = ({ perSecond }: Measured) => `${Math.round(perSecond)}/s`
  const { clientCredentials, introspection, refresh } = result
  return `tokens ${rate(clientCredentials)}, introspections ${rate(introspection)}, refreshes ${rate(refresh)}`
}

/** Each round begins with nothing. */
async function freshDatabase(url: string, round: number): Promise<readonly string[]> {
  const name = `bench_${round}`
  await asOwner(url, `create database ${name}`)
  return [databaseUrl(url, name)]
}

/** RFC 6749 §4.4. */
function askForTokens({ origin, tokenPath, machine }: Running): Load {
  const body = form({ grant_type: 'client_credentials', scope: 'mcp', ...named(machine) })
  const expects = '"access_token":"'
  return { origin, path: tokenPath, workers: workers(() => ({ next: () => body })), expects }
}

/** RFC 7662 §2.1, of a token of the client's own. */
async function askAboutToken(running: Running): Promise<Load> {
  const { origin, tokenPath, introspectionPath, machine } = running
  const answer = await fetch(origin + tokenPath, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: form({ grant_type: 'client_credentials', scope: 'mcp', ...named(machine) }),
  })
  const token = readToken(await answer.text(), 'access_token')
  const body = form({ token, ...named(machine) })
  const expects = '"active":true'
  return {
    origin,
    path: introspectionPath,
    workers: workers(() => ({ next: () => body })),
    expects,
  }
}

/** RFC 6749 §6 with rotation: each request spends what the one before it brought. */
function refreshTokens({ origin, tokenPath, app, refreshTokens }: Running): Load {
  const chain = (index: number): Worker => {
    let token = refreshTokens[index] ?? ''
    return {
      next: (answer) => {
        if (answer !== undefined) token = readToken(answer, 'refresh_token')
        return form({ grant_type: 'refresh_token', refresh_token: token, ...named(app) })
      },
    }
  }
  return { origin, path: tokenPath, workers: workers(chain), expects: '"refresh_token":"' }
}

function workers(make: (index: number) => Worker): readonly Worker[] {
  return Array.from({ length: connectionCount }, (_, index) => make(index))
}

function named({ id, secret }: Running['app']): Readonly<Record<string, string>> {
  return { client_id: id, client_secret: secret }
}

function form(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(fields).toString()
}

function readToken(answer: string, name: string): string {
  const token = new RegExp(`"${name}":"([^"]+)"`).exec(answer)?.[1]
  if (token === undefined) throw new Error(`no ${name} in ${answer.slice(0, 200)}`)
  return token
}
