// Loaded into every server that is measured, before its own script: says what the process has used so far, when asked.

/** What a process has used. */
export interface Used {
  readonly rssBytes: number
  /** Of all its threads, since it began. */
  readonly cpuMs: number
}

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  const used: Used = { rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000 }
  process.send?.(used)
})
