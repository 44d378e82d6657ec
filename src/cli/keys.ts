// `latchkey keys …`: which keys sign for each tenant and which master keys the database knows; and letting the next signing
// key sign before its turn.
import type { Command } from 'commander'
import type { ListedKey, TenantKeys } from '../issuer/signing-key-list.ts'
import { day, table } from './terminal.ts'
import { atTheBench } from './workshop.ts'
import type { Bench } from './workshop.ts'

interface JsonOption {
  readonly json?: boolean
}

/** Adds the commands. */
export function addKeys(program: Command): void {
  const keys = program.command('keys').description('the keys that sign tokens, and the master keys')
  keys
    .command('status')
    .description('say which key signs for each tenant, and which master keys are in use')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => atTheBench((bench) => status(bench, options)))
  keys
    .command('rotate')
    .description('let the next signing key sign before its turn; says from when it does')
    .option('--json', 'as JSON')
    .action((options: JsonOption) => atTheBench((bench) => rotate(bench, options)))
}

async function status({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const tenants = await workshop.issuer.signingKeys.list()
  const masterKeys = await workshop.masterKeys()
  if (json === true) return terminal.print(JSON.stringify({ tenants, masterKeys }))
  const head = ['', 'MASTER KEY', 'STATE', 'FIRST USED (UTC)']
  const rows = masterKeys.map(({ id, state, firstUsedAt }) => [
    '',
    id,
    masterStates[state],
    day(firstUsedAt),
  ])
  terminal.print([...tenants.map(describe), table([head, ...rows])].join('\n\n'))
}

const masterStates = {
  active: 'in use: seals and opens',
  opens: 'in use: only opens what it sealed',
  absent: 'not given: what it sealed cannot be opened',
} as const

function describe({ issuer, keys }: TenantKeys): string {
  if (keys.length === 0)
    return `${issuer} has no signing keys yet: they are made when first needed.`
  const head = ['', 'SIGNING KEY', 'STATE', 'SINCE (UTC)', 'UNTIL (UTC)']
  return `${issuer}\n\n${table([head, ...keys.map(rowOf)])}`
}

function rowOf(key: ListedKey): readonly string[] {
  const { kid, state, createdAt, activatedAt, activateAt, retiredAt, publishedUntil } = key
  switch (state) {
    case 'next':
      return [
        '',
        kid,
        'next, published',
        day(createdAt),
        activateAt === undefined ? '-' : `signs from ${day(activateAt)}`,
      ]
    case 'active':
      return ['', kid, 'signs', day(activatedAt), '-']
    case 'retired':
      return ['', kid, 'only published', day(retiredAt), day(publishedUntil)]
  }
}

async function rotate({ workshop, terminal }: Bench, { json }: JsonOption): Promise<void> {
  const { signingKeys } = workshop.issuer
  const { id, issuer } = workshop.tenant
  const rotation = await signingKeys.rotateSoon({ id }, { kind: 'operator' })
  const keys = (await signingKeys.list()).find(({ tenantId }) => tenantId === id)?.keys ?? []
  const isNow = rotation.kind === 'rotated'
  const kid = isNow ? rotation.kid : keys.find(({ state }) => state === 'next')?.kid
  const signsFrom = isNow ? workshop.ground.clock.now() : rotation.notBefore
  if (json === true) return terminal.print(JSON.stringify({ issuer, kid, signsFrom }))
  terminal.print(
    isNow
      ? `The key ${kid} of ${issuer} signs from now on. The one before it stays published until what it signed is over.`
      : `The key ${kid} of ${issuer} signs from ${day(signsFrom)} UTC on, when everybody knows it. A running server lets it.`,
  )
}
