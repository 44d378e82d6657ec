// What an operator is warned of: at the start, and by the doctor.
import type { Config } from '../config.ts'
import { isLocalHost } from '../config.ts'

/** What of the settings opens something, or counts otherwise than one may think. */
export function cautions({
  allowPrivateNetworks,
  metricsListen,
  publicUrl,
  trustedProxies,
}: Config): readonly string[] {
  const lines: string[] = []
  if (allowPrivateNetworks.length > 0) {
    lines.push(`Outbound calls may reach private networks: ${allowPrivateNetworks.join(', ')}.`)
  }
  if (metricsListen !== undefined && !isLocalHost(metricsListen.host)) {
    const { host, port } = metricsListen
    lines.push(`Whoever reaches port ${port} on ${host} reads the measurements without a key.`)
  }
  if (publicUrl.startsWith('https:') && trustedProxies.length === 0) {
    lines.push(
      'Everybody who calls through your proxy looks like one caller, and limits count them as one: name it in LATCHKEY_TRUSTED_PROXIES.',
    )
  }
  return lines
}
