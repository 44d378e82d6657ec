// What the rigs of this folder measure, each beside the line it has to keep. A missed line fails its test; run.ts makes
// the table of all of them.
import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'

/** One number with its pass line. */
export interface Figure {
  /** The row of the plan: `R-01`. */
  readonly id: string
  readonly what: string
  readonly measured: string
  readonly line: string
  readonly isKept: boolean
}

/** The file in which the figures of a run are collected, one JSON line each. */
export const figuresVariable = 'LATCHKEY_FAULT_FIGURES'
/** How often a rig of a whole run goes round, instead of its own number. */
export const roundsVariable = 'LATCHKEY_FAULT_ROUNDS'

/** Whether everything is done as often as the plan says; otherwise a selection that takes seconds. */
export const isWhole = (process.env[figuresVariable] ?? '') !== ''

/** How often to go round in this run. */
export function roundsOf({ few, whole }: { readonly few: number; readonly whole: number }): number {
  if (!isWhole) return few
  const asked = Number(process.env[roundsVariable] ?? '')
  return asked > 0 ? asked : whole
}

/** Writes a figure down, and fails when it misses its line. */
export function tell(figure: Figure, details = ''): void {
  const file = process.env[figuresVariable]
  if (file !== undefined && file !== '') appendFileSync(file, `${JSON.stringify(figure)}\n`)
  const { id, what, measured, line, isKept } = figure
  assert.ok(isKept, `${id} ${what}: ${measured}, not ${line}${details && `\n${details}`}`)
}
