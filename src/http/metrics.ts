// What a Prometheus server reads (its text format 0.0.4): how long answers take by route, what was refused, how big the
// tables are, how late the event loop is. Labels come from closed sets only, so the number of series is bounded.
import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface Metrics {
  /** One answer; a request without a route counts as `other`. */
  readonly observe: (answer: {
    readonly method: string
    readonly route: string | undefined
    readonly status: number
    readonly ms: number
  }) => void
  /** One refusal by its code of the catalogue. */
  readonly refused: (route: string, code: string) => void
  /** Everything as text. */
  readonly text: (gauges: Gauges) => string
  readonly close: () => void
}

/** What is known by asking somebody else. */
export interface Gauges {
  readonly tableRows: Readonly<Record<string, number>>
  readonly notesDropped: number
}

const bucketsS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const methods: ReadonlySet<string> = new Set([
  'GET',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
])
const seriesMax = 5_000
const lagResolutionMs = 20
const nanosecondsPerSecond = 1e9

interface Histogram {
  readonly counts: number[]
  sum: number
  count: number
}

/** Makes the metrics of one process. */
export function createMetrics(): Metrics {
  const durations = new Map<string, Histogram>()
  const refusals = new Map<string, number>()
  const lag = monitorEventLoopDelay({ resolution: lagResolutionMs })
  lag.enable()

  return {
    observe: ({ method, route = 'other', status, ms }) => {
      const known = methods.has(method) ? method : 'other'
      const labels = label({ method: known, route, status: `${Math.floor(status / 100)}xx` })
      const histogram = durations.get(labels) ?? emptyHistogram()
      if (durations.size < seriesMax) durations.set(labels, histogram)
      add(histogram, ms / 1000)
    },
    refused: (route, error) => {
      const labels = label({ route, error })
      if (refusals.size < seriesMax || refusals.has(labels)) {
        refusals.set(labels, (refusals.get(labels) ?? 0) + 1)
      }
    },
    text: ({ tableRows, notesDropped }) =>
      [
        ...histogramLines(durations),
        ...lines(
          { name: 'latchkey_refusals_total', type: 'counter', help: 'Refused requests by code.' },
          refusals,
        ),
        ...lines(
          {
            name: 'latchkey_table_rows',
            type: 'gauge',
            help: 'Rows per table, up to a million, at most five minutes old.',
          },
          new Map(Object.entries(tableRows).map(([table, rows]) => [label({ table }), rows])),
        ),
        ...lines(
          {
            name: 'latchkey_notes_dropped_total',
            type: 'counter',
            help: 'What strangers did and the journal did not take.',
          },
          new Map([['', notesDropped]]),
        ),
        ...lines(
          {
            name: 'latchkey_event_loop_lag_seconds',
            type: 'gauge',
            help: 'How late the event loop is since the last time it was asked.',
          },
          lagOf(lag),
        ),
        '',
      ].join('\n'),
    close: () => void lag.disable(),
  }
}

function emptyHistogram(): Histogram {
  return { counts: bucketsS.map(() => 0), sum: 0, count: 0 }
}

function add(histogram: Histogram, seconds: number): void {
  histogram.sum += seconds
  histogram.count += 1
  bucketsS.forEach((most, index) => {
    if (seconds <= most) histogram.counts[index] = (histogram.counts[index] ?? 0) + 1
  })
}

function lagOf(lag: ReturnType<typeof monitorEventLoopDelay>): ReadonlyMap<string, number> {
  const seconds = (nanoseconds: number) =>
    Math.max(0, nanoseconds / nanosecondsPerSecond - lagResolutionMs / 1000)
  const values = new Map([
    [label({ quantile: '0.5' }), seconds(lag.percentile(50))],
    [label({ quantile: '0.99' }), seconds(lag.percentile(99))],
    [label({ quantile: '1' }), lag.count === 0 ? 0 : seconds(lag.max)],
  ])
  lag.reset()
  return values
}

interface Described {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
}

function head({ name, type, help }: Described): readonly string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
}

function lines(described: Described, values: ReadonlyMap<string, number>): readonly string[] {
  const samples = [...values].map(([labels, value]) => sample(described.name, labels, value))
  return [...head(described), ...samples]
}

function histogramLines(durations: ReadonlyMap<string, Histogram>): readonly string[] {
  const name = 'latchkey_http_request_duration_seconds'
  const help = 'Time until an answer begins, by route.'
  const samples = [...durations].flatMap(([labels, { counts, sum, count }]) => {
    const buckets = bucketsS.map((most, index) =>
      sample(`${name}_bucket`, `${labels},${label({ le: `${most}` })}`, counts[index] ?? 0),
    )
    return buckets.concat(
      sample(`${name}_bucket`, `${labels},${label({ le: '+Inf' })}`, count),
      sample(`${name}_sum`, labels, sum),
      sample(`${name}_count`, labels, count),
    )
  })
  return [...head({ name, type: 'histogram', help }), ...samples]
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`
}

/** Values are ours (route templates, codes, table names), and escaped all the same. */
function label(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${value.replaceAll(/[\\"\n]/g, '_')}"`)
    .join(',')
}
