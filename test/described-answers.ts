// REST's own description of its answers, held against every answer that a test sees.
import assert from 'node:assert/strict'
import { z } from 'zod'
import { faultCatalogue } from '../src/base/fault.ts'
import { isDescribed } from '../src/http/api/openapi.ts'
import { problem } from '../src/http/api/openapi-problems.ts'
import type { Route } from '../src/http/route.ts'
import { createRoutes } from '../src/http/routes.ts'
import type { RouteNeeds } from '../src/http/routes.ts'

// Rows are made without running anything, so whatever part they ask for may be empty.
const emptyPart: object = new Proxy({}, { get: () => emptyPart })

/** All rows of all doors. */
export const rows: readonly Route[] = createRoutes(emptyPart as RouteNeeds) // every part of it is there, and empty

/** The rows of REST. */
export const describedRows: readonly Route[] = rows.filter(isDescribed)

interface Seen {
  readonly method: string
  /** Path and query, or a whole URL. */
  readonly path: string
  readonly status: number
  readonly type: string | null
  readonly text: string
}

/** Fails for an answer of REST that is not as its row says. */
export function assertDescribed(seen: Seen): void {
  const row = rowOf(seen)
  if (row === undefined) return
  const { status, type, text } = seen
  const said = `${row.method} ${row.path}: ${status} ${text.slice(0, 400)}`
  if (status >= 400) return assertProblem(seen, said)
  const { output } = row
  assert.ok(output !== undefined, `its row has no \`output\` (src/http/output.ts): ${said}`)
  assert.equal(status, output.status, `its row says another status: ${said}`)
  if (output.kind === 'nothing') assert.equal(text, '', said)
  if (output.kind === 'json') {
    assert.equal(type, 'application/json', said)
    assertShape(output.shape, text, said)
  }
  if (output.kind === 'events') assert.match(type ?? '', /^text\/event-stream\b/, said)
}

function assertProblem({ status, type, text }: Seen, said: string): void {
  assert.equal(type, 'application/problem+json', said)
  assertShape(problem, text, said)
  const { code } = problem.parse(JSON.parse(text))
  const known = Object.entries(faultCatalogue).find(([name]) => name === code)
  assert.equal(known?.[1].status, status, `no such refusal: ${said}`)
}

function assertShape(shape: z.ZodType, text: string, said: string): void {
  const { success, error } = shape.safeParse(JSON.parse(text))
  const wrong = error === undefined ? '' : z.prettifyError(error)
  assert.ok(
    success,
    `the \`output\` of its row does not fit (src/http/api/shapes):\n${wrong}\n${said}`,
  )
}

/** HEAD has no body to look at. */
function rowOf({ method, path }: Seen): Route | undefined {
  const { pathname } = new URL(path, 'http://localhost')
  const fitting = describedRows.filter((row) => row.method === method && fits(row.path, pathname))
  return fitting.find(({ path: written }) => !written.includes('{')) ?? fitting[0]
}

function fits(written: string, pathname: string): boolean {
  const segments = pathname.split('/')
  const parts = written.split('/')
  return (
    parts.length === segments.length &&
    parts.every(
      (part, index) => part === segments[index] || (part.startsWith('{') && segments[index] !== ''),
    )
  )
}
