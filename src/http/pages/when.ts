// Moments as people read them. The server does not know where a person is, so it says them in UTC.
import { html } from 'hono/html'
import type { Html } from './layout.ts'

const format = new Intl.DateTimeFormat('en-GB', {
  dateStyle: 'medium',
  timeStyle: 'short',
  timeZone: 'UTC',
})

const units = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const
const relative = new Intl.RelativeTimeFormat('en-GB', { numeric: 'auto' })

/** How long ago a moment was; the moment itself shows when somebody asks. */
export function ago(at: number, now: number): Html {
  const seconds = Math.max(0, (now - at) / 1000)
  const [unit, length] = units.find(([, one]) => seconds >= one) ?? ['second', 1]
  const text = unit === 'second' ? 'just now' : relative.format(-Math.floor(seconds / length), unit)
  const date = new Date(at)
  return html`<time datetime="${date.toISOString()}" title="${format.format(date)} UTC"
    >${text}</time
  >`
}

/** A moment, for people and for programs. */
export function when(at: number): Html {
  const date = new Date(at)
  return html`<time datetime="${date.toISOString()}">${format.format(date)} UTC</time>`
}
