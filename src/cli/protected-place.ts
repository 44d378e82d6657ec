// Where the server is that `latchkey protect` was given: what naming it allows, and whether somebody answers there.
import { createAddressRules } from '../base/addresses.ts'
import { systemClock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { silentLog } from '../base/log.ts'
import { createOutbound } from '../base/outbound.ts'
import type { Config } from '../config.ts'
import { isLocalHost } from '../config.ts'

/**
 * What the person who names an address of this machine has agreed to: calls to this port of it and no other. Nothing for
 * any other address, nor for one that the settings allow already.
 */
export function placesOf(
  address: string,
  { allowPrivateNetworks }: Pick<Config, 'allowPrivateNetworks'>,
): readonly string[] {
  const { hostname, port: given, protocol } = new URL(address)
  const host = hostname.replace(/^\[|\]$/g, '')
  if (!isLocalHost(host)) return []
  const port = given === '' ? { 'http:': 80, 'https:': 443 }[protocol] : Number(given)
  const rules = createAddressRules(allowPrivateNetworks, { takesPlaces: true })
  // The name has an address of each family on most machines.
  return (host === 'localhost' ? ['127.0.0.1', '::1'] : [host])
    .filter((one) => !rules.isOwn(one, port))
    .map((one) => (one.includes(':') ? `[${one}]:${port}` : `${one}:${port}`))
}

const waitMs = 3_000

/** What the person should know about what answers there now; nothing if all looks well. */
export async function answersAt(
  url: string,
  { allowPrivateNetworks }: Pick<Config, 'allowPrivateNetworks'>,
): Promise<readonly string[]> {
  const needs = { log: silentLog, clock: systemClock }
  const outbound = createOutbound(needs, { allow: allowPrivateNetworks })
  try {
    const limits = { timeMs: waitMs }
    const { status } = await outbound.fetch({ url, purpose: 'protect', limits })
    if (status !== 401) return []
    return [`${url} asks for a credential itself. If it is a key, name it with --header.`]
  } catch (thrown) {
    // A stream that does not end is an answer too.
    const isSilent = isFault(thrown) && ['network_error', 'name_unresolved'].includes(thrown.code)
    return isSilent
      ? [`Nothing answers at ${url} yet. Start your server; this one waits for it.`]
      : []
  } finally {
    await outbound.close()
  }
}
