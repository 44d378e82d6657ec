// What is used, by whom and through what: the sums of calls over some days, for administrators.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Database } from '../store/database.ts'
import { callDaysKept } from './call-counts.ts'
import { namesOf } from './names.ts'
import { dayMs } from './refusal-counts.ts'

/** What the sums can be by. */
export const usageKinds = ['server', 'tool', 'client', 'user'] as const
export type UsageKind = (typeof usageKinds)[number]

export interface CallSums {
  readonly calls: number
  readonly failed: number
  readonly refused: number
  /** Of a call, in milliseconds. */
  readonly meanMs: number
}

export interface UsedThing extends CallSums {
  /** Of the server, client or person; of a tool that of its server. Absent: a program that acts for itself. */
  readonly id?: string
  /** As people know it; absent once it is gone. */
  readonly name?: string
  readonly tool?: string
}

export interface CallUsage {
  readonly from: string
  readonly to: string
  readonly by: UsageKind
  /** The most used first, at most a hundred. */
  readonly items: readonly UsedThing[]
  /** Oldest first, each day once. */
  readonly perDay: readonly ({ readonly day: string } & CallSums)[]
}

interface Needs {
  readonly db: Database
  readonly clock: Clock
  /** Brings the counts of this process into the table. */
  readonly flush: () => Promise<void>
}

interface Asked {
  readonly by: UsageKind
  /** How many days, today included. */
  readonly days: number
}

export const usageDays = { usual: 30, most: callDaysKept - 1 } as const
/** What somebody asks the sums to be by; undefined for a word that is none of them. */
export function usageKindOf(word: string): UsageKind | undefined {
  return usageKinds.find((known) => known === word)
}

/** How many days somebody asks for; undefined for what is no number of days that are kept. */
export function usageDaysOf(word: string): number | undefined {
  const days = /^\d{1,4}$/.test(word) ? Number(word) : 0
  return days >= 1 && days <= usageDays.most ? days : undefined
}

const itemsMax = 100

/** What was used in one tenant. */
export type AskCallUsage = (tenantId: string, asked: Asked) => Promise<CallUsage>

/** Makes the question over one database. */
export function createCallUsage({ db, clock, flush }: Needs): AskCallUsage {
  return async (tenantId, { by, days }) => {
    await flush()
    const today = Math.floor(clock.now() / dayMs)
    const from = today - days + 1
    const asked = { db, tenantId, from }
    return {
      from: nameOfDay(from),
      to: nameOfDay(today),
      by,
      items: await itemsBy(asked, by),
      perDay: await sumsPerDay(asked, today),
    }
  }
}

interface Range {
  readonly db: Database
  readonly tenantId: string
  readonly from: number
}

const when = (outcome: string) =>
  sql<number>`coalesce(sum(case when outcome = ${outcome} then count else 0 end), 0)`

const sums = [
  sql<number>`coalesce(sum(count), 0)`.as('calls'),
  when('failed').as('failed'),
  when('refused').as('refused'),
  sql<number>`coalesce(sum(duration_ms), 0)`.as('duration_ms'),
]

interface SumsRow {
  readonly calls: number
  readonly failed: number
  readonly refused: number
  readonly duration_ms: number
}

function toSums({ calls, failed, refused, duration_ms: durationMs }: SumsRow): CallSums {
  return { calls, failed, refused, meanMs: calls === 0 ? 0 : Math.round(durationMs / calls) }
}

function counts({ db, tenantId, from }: Range) {
  return db.selectFrom('call_counts').where('tenant_id', '=', tenantId).where('day', '>=', from)
}

async function itemsBy(asked: Range, by: UsageKind): Promise<readonly UsedThing[]> {
  if (by === 'tool') return tools(asked)
  const column = `${by}_id` as const
  const rows = await counts(asked)
    .select(column)
    .select(sums)
    .groupBy(column)
    .orderBy('calls', 'desc')
    .orderBy(column)
    .limit(itemsMax)
    .execute()
  const named = rows.map((row) => ({ id: idIn(row, column), sums: toSums(row) }))
  const names = await namesOf(
    asked,
    by,
    named.map(({ id }) => id),
  )
  return named.map(({ id, sums: summed }) => usedThing({ id, name: names.get(id) }, summed))
}

function idIn(row: object, column: string): string {
  return String(Reflect.get(row, column))
}

async function tools(asked: Range): Promise<readonly UsedThing[]> {
  const rows = await counts(asked)
    .select(['server_id', 'tool'])
    .select(sums)
    .where('tool', '<>', '')
    .groupBy(['server_id', 'tool'])
    .orderBy('calls', 'desc')
    .orderBy('server_id')
    .orderBy('tool')
    .limit(itemsMax)
    .execute()
  const names = await namesOf(
    asked,
    'server',
    rows.map((row) => row.server_id),
  )
  return rows.map((row) => {
    const { server_id: id, tool } = row
    return usedThing({ id, name: names.get(id), tool }, toSums(row))
  })
}

function usedThing(
  { id, name, tool }: { readonly [Key in 'id' | 'name' | 'tool']?: string | undefined },
  summed: CallSums,
): UsedThing {
  return {
    ...(id === '' || id === undefined ? {} : { id }),
    ...(name === undefined ? {} : { name }),
    ...(tool === undefined ? {} : { tool }),
    ...summed,
  }
}

async function sumsPerDay(asked: Range, today: number): Promise<CallUsage['perDay']> {
  const rows = await counts(asked).select('day').select(sums).groupBy('day').execute()
  const byDay = new Map(rows.map((row) => [row.day, toSums(row)]))
  const none = { calls: 0, failed: 0, refused: 0, meanMs: 0 }
  return Array.from({ length: today - asked.from + 1 }, (_, index) => {
    const day = asked.from + index
    return { day: nameOfDay(day), ...(byDay.get(day) ?? none) }
  })
}

function nameOfDay(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}
