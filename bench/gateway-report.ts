// The tables of the gateway's benchmark. What is compared is compared round by round: each figure is the median of the
// rounds, with the least and the most of them beside it.
import type { Measured } from './driver.ts'
import type { Delays } from './gateway-loads.ts'
import { describeMachine } from './report.ts'

/** One round of one subject. */
export interface Round {
  readonly name: string
  /** Over many connections. */
  readonly calls: Measured
  /** Of the subject's own process. */
  readonly cpuMsPerCall: number
  /** Over one connection. */
  readonly alone: Measured
  /** Over many connections, each answer a stream of one event. */
  readonly streamed: Measured
  readonly delays: Delays
}

/** What open streams added to a process. */
export interface Grown {
  readonly name: string
  readonly streams: number
  readonly beforeBytes: number
  readonly afterBytes: number
}

interface Results {
  /** How many processes wanted to run before the first of ours did. */
  readonly loadBefore: number
  readonly rounds: readonly Round[]
  readonly grown: readonly Grown[]
}

const direct = 'the server itself'
const yardstick = 'a bare proxy'

/** Writes the results as Markdown. */
export function formatGatewayReport({ loadBefore, rounds, grown }: Results): string {
  return [
    `${describeMachine()}  \n${describeLoad(loadBefore)}`,
    callsTable(rounds),
    delayTable(rounds),
    memoryTable(grown),
  ].join('\n\n')
}

const idleUpTo = 0.5

function describeLoad(before: number): string {
  const trust =
    before > idleUpTo ? 'it did other work besides, so trust the ratios only so far' : 'idle'
  return `load of the machine before: ${before.toFixed(1)} (${trust})`
}

function callsTable(rounds: readonly Round[]): string {
  const rows = namesOf(rounds).map((name) => {
    const own = (pick: Pick) => valuesOf(rounds, name, pick)
    const ratio = (pick: Pick) => spread(ratios(own(pick), valuesOf(rounds, yardstick, pick)), 2)
    const cells = [
      whole(own(({ calls }) => calls.perSecond)),
      `**${ratio(({ calls }) => calls.perSecond)}**`,
      whole(own(({ cpuMsPerCall }) => cpuMsPerCall * 1000)),
      spread(
        own(({ calls }) => calls.p50Ms),
        1,
      ),
      spread(
        own(({ calls }) => calls.p99Ms),
        1,
      ),
      ratio(({ streamed }) => streamed.perSecond),
    ]
    return `| ${name} | ${cells.join(' | ')} |`
  })
  return [
    '### `tools/call`, 32 connections',
    '',
    `| through | calls/s | × ${yardstick} | µs of its own processor time a call | p50 ms | p99 ms | answers as events, × ${yardstick} |`,
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows,
  ].join('\n')
}

function delayTable(rounds: readonly Round[]): string {
  const rows = namesOf(rounds).map((name) => {
    const own = (pick: Pick) => valuesOf(rounds, name, pick)
    const added = (pick: Pick, to: string) =>
      spread(differences(own(pick), valuesOf(rounds, to, pick)), 2)
    const cells = [
      spread(
        own(({ alone }) => alone.p50Ms),
        2,
      ),
      spread(
        own(({ alone }) => alone.p99Ms),
        2,
      ),
      `**${added(({ alone }) => alone.p50Ms, direct)}**`,
      added(({ alone }) => alone.p50Ms, yardstick),
      added(({ delays }) => delays.p50Ms, direct),
      added(({ delays }) => delays.p99Ms, direct),
    ]
    return `| ${name} | ${cells.join(' | ')} |`
  })
  return [
    '### `tools/call`, one connection, and events of 16 streams, each every 10 ms',
    '',
    '| through | p50 ms | p99 ms | added at p50, ms | more than a bare proxy | added to an event at p50, ms | at p99 |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows,
  ].join('\n')
}

const mebibyte = 2 ** 20

function memoryTable(grown: readonly Grown[]): string {
  const rows = grown.map(({ name, streams, beforeBytes, afterBytes }) => {
    const kibibytes = (afterBytes - beforeBytes) / streams / 1024
    const [before, after] = [beforeBytes, afterBytes].map((bytes) => Math.round(bytes / mebibyte))
    return `| ${name} | ${before} | ${after} | ${kibibytes.toFixed(0)} |`
  })
  return [
    `### ${grown[0]?.streams ?? 0} open streams`,
    '',
    '| through | MiB before | MiB with them | KiB a stream |',
    '| --- | ---: | ---: | ---: |',
    ...rows,
  ].join('\n')
}

type Pick = (round: Round) => number

function namesOf(rounds: readonly Round[]): readonly string[] {
  return [...new Set(rounds.map(({ name }) => name))]
}

function valuesOf(rounds: readonly Round[], name: string, pick: Pick): readonly number[] {
  return rounds.filter((round) => round.name === name).map(pick)
}

function ratios(own: readonly number[], base: readonly number[]): readonly number[] {
  return own.map((value, round) => value / (base[round] ?? Number.NaN))
}

function differences(own: readonly number[], base: readonly number[]): readonly number[] {
  return own.map((value, round) => value - (base[round] ?? Number.NaN))
}

function whole(values: readonly number[]): string {
  return `${Math.round(medianOf(values))}`
}

/** The median, and how far the rounds lie apart. */
function spread(values: readonly number[], digits: number): string {
  const least = Math.min(...values).toFixed(digits)
  const most = Math.max(...values).toFixed(digits)
  return `${medianOf(values).toFixed(digits)} (${least}–${most})`
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
