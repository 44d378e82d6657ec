// `latchkey start`: runs the platform until it is told to stop, and says in a few lines where everything is.
import { resolve } from 'node:path'
import { createLog } from '../base/log.ts'
import type { Config } from '../config.ts'
import { readConfig } from '../config.ts'
import type { Platform } from '../platform.ts'
import { createPlatform } from '../platform.ts'
import { cautions } from './cautions.ts'

/** Starts, prints where it listens, and stops on SIGINT or SIGTERM. */
export async function start(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const config = readConfig(environment)
  const log = createLog(config.logLevel, (line) => process.stderr.write(line))
  const platform = await createPlatform(config, { log, opensPort: true })
  console.log(await greeting(config, platform))
  stopOnSignal(platform)
}

async function greeting(config: Config, platform: Platform): Promise<string> {
  const link = await platform.setupLink()
  const { host, port } = config.listen
  const lines = [
    `Latchkey is ready at ${config.publicUrl} (listening on ${host}:${port}).`,
    `Data: ${config.databaseUrl === undefined ? resolve(config.dataFolder) : 'Postgres'}. Key: ${describeKey(config)}.`,
  ]
  lines.push(...cautions(config))
  if (platform.movedFrom !== undefined) {
    lines.push(
      `The address has changed from ${platform.movedFrom}: clients and connections made under it must sign in again.`,
    )
  }
  lines.push(
    link === undefined
      ? `Sign in: ${config.publicUrl}/sign-in`
      : `Nobody has an account yet. Make yours within a day, with this link that works once:\n  ${link}`,
  )
  return lines.join('\n')
}

function describeKey(config: Config): string {
  return config.key === undefined ? resolve(config.keyFile) : 'from LATCHKEY_KEY'
}

/** Closes it on the first SIGINT or SIGTERM, and ends the process. */
export function stopOnSignal(platform: Platform): void {
  let isStopping = false
  const stop = () => {
    if (isStopping) return
    isStopping = true
    console.log('Stopping …')
    void platform.close().finally(() => process.exit(0))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}
