// JSON from strangers: no deeper than it needs to be, and without names that reach into prototypes.
import { Fault } from './fault.ts'

const depthMaximum = 16
const dangerous = new Set(['__proto__', 'constructor', 'prototype'])

/** Parses; throws Fault('metadata_discovery_failed') for what is no JSON or too deep. */
export function parseJson(text: string): unknown {
  let parsed: unknown
  try {
    parsed = JSON.parse(text, (name, value: unknown) => (dangerous.has(name) ? undefined : value))
  } catch {
    throw unusable('the answer is not JSON')
  }
  if (isDeeper(parsed, depthMaximum)) throw unusable('the answer is nested too deep')
  return parsed
}

function isDeeper(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== 'object') return false
  if (levels === 0) return true
  return Object.values(value).some((item) => isDeeper(item, levels - 1))
}

function unusable(because: string): Fault {
  return new Fault('metadata_discovery_failed', { because })
}
