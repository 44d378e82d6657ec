// Which errors mean that the database cannot be asked now, as against a mistake in what was asked. Nothing was stored, and
// the same request may succeed later.

import { DiskFailure } from './group-commit.ts'

// Primary result codes of SQLite: busy, locked, read-only, I/O error, full, cannot open.
const sqliteCodes = new Set([5, 6, 8, 10, 13, 14])
// Connection exceptions, insufficient resources, shutdown and start-up of Postgres, and the sockets below it.
const postgresStates = /^(08|53|57P0)/
const socketCodes = /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/
const lostConnection = /connection terminated|timeout exceeded when trying to connect/i

/** Is the database away, busy for too long, or full? */
export function isStoreUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof DiskFailure) return true
  const code: unknown = Reflect.get(error, 'code')
  if (code === 'ERR_SQLITE_ERROR') return isSqliteTrouble(error)
  if (typeof code === 'string') return postgresStates.test(code) || socketCodes.test(code)
  return lostConnection.test(error.message)
}

function isSqliteTrouble(error: Error): boolean {
  const extended: unknown = Reflect.get(error, 'errcode')
  return typeof extended === 'number' && sqliteCodes.has(extended & 0xff)
}
