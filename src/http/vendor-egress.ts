// Where big vendors call from: a few addresses that millions of people share. Only ranges that a vendor has published for
// its calls to MCP servers, and keeps; everybody else is counted by address.
import { createAddressRules } from '../base/addresses.ts'

interface Egress {
  readonly vendor: string
  readonly ranges: readonly string[]
  /** Where the vendor says so. */
  readonly source: string
}

const egress: readonly Egress[] = [
  {
    vendor: 'anthropic',
    ranges: ['160.79.104.0/21'],
    source: 'https://platform.claude.com/docs/en/api/ip-addresses, "Outbound IP addresses"',
  },
]

const crowds = egress.map(({ vendor, ranges }) => ({
  vendor,
  isOf: createAddressRules(ranges).isOwn,
}))

/** The vendor whose users all call from this address; undefined for an address of somebody's own. */
export function crowdOf(address: string): string | undefined {
  return crowds.find(({ isOf }) => isOf(address))?.vendor
}
