// Every limit of the doors: how much, in what time, counted by what. Which doors a limit is for is said on their rows; how
// it is counted is in limiter.ts. Wrong device codes are counted where they are looked up (issuer/device-guesses.ts). The
// numbers are such that a busy honest person never meets one.

/** One limit. */
export interface Limit {
  readonly quota: number
  readonly windowS: number
  /**
   * What is counted together. `anybody`: everything. `client`: the client that a request names. `principal`: a verified
   * caller. `given`: what the door says, such as an e-mail.
   */
  readonly by: 'anybody' | 'client' | 'principal' | 'given'
  /** Counted for each place alone: whoever calls from elsewhere is not affected. In a crowd's place the quota is larger. */
  readonly isPerPlace: boolean
}

/** A place that many share, such as the addresses of a big vendor, may do so many times as much as one address. */
export const crowdFactor = 100

const minute = 60
const tenMinutes = 600
const hour = 3600

export const limits = {
  /** Pages, public documents and whatever else says nothing of its own. */
  requests: { quota: 3000, windowS: minute, by: 'anybody', isPerPlace: true },
  /** REST and pages of somebody who is signed in. */
  principal: { quota: 6000, windowS: minute, by: 'principal', isPerPlace: false },
  /** Requests without a session, key or token that is alive; those with one go on all the same. */
  strangers: { quota: 300, windowS: minute, by: 'anybody', isPerPlace: true },

  // Failed tries only; a right password is given back. The first stops guessing at one person from one place, the second
  // guessing at many from one place, the third at one person from everywhere; the fourth stands for the first and third in
  // a browser in which the person signed in before. None of them outlives its window.
  'sign-in': { quota: 10, windowS: tenMinutes, by: 'given', isPerPlace: true },
  'sign-in-place': { quota: 100, windowS: tenMinutes, by: 'anybody', isPerPlace: true },
  'sign-in-person': { quota: 100, windowS: hour, by: 'given', isPerPlace: false },
  'sign-in-known': { quota: 10, windowS: tenMinutes, by: 'given', isPerPlace: false },
  setup: { quota: 20, windowS: tenMinutes, by: 'anybody', isPerPlace: true },

  authorize: { quota: 60, windowS: minute, by: 'anybody', isPerPlace: true },
  register: { quota: 20, windowS: minute, by: 'anybody', isPerPlace: true },
  'register-hour': { quota: 100, windowS: hour, by: 'anybody', isPerPlace: true },
  'register-tenant': { quota: 20_000, windowS: hour, by: 'anybody', isPerPlace: false },

  // What a client's name is worth is not known yet here, so the place counts too: naming a client locks nobody out of it.
  token: { quota: 600, windowS: minute, by: 'client', isPerPlace: true },
  'token-place': { quota: 6000, windowS: minute, by: 'anybody', isPerPlace: true },
  introspect: { quota: 60_000, windowS: minute, by: 'client', isPerPlace: true },
  'introspect-place': { quota: 120_000, windowS: minute, by: 'anybody', isPerPlace: true },
  'client-failures': { quota: 100, windowS: tenMinutes, by: 'client', isPerPlace: true },
  /** What a client does that has proved itself with a secret or a key, from wherever. */
  client: { quota: 60_000, windowS: minute, by: 'given', isPerPlace: false },
  /** What one person's consent on one device is used for at the token endpoint. */
  grant: { quota: 120, windowS: minute, by: 'given', isPerPlace: false },

  /** MCP calls of one person, or of a client that acts for itself; the quota is a setting. */
  calls: { quota: 600, windowS: minute, by: 'given', isPerPlace: false },
} as const satisfies Record<string, Limit>

/** The name of a limit, also on the wire. */
export type LimitName = keyof typeof limits

/** The limits that a row can name: the door itself knows what to count. */
export type RowLimitName = {
  [Name in LimitName]: (typeof limits)[Name]['by'] extends 'given' ? never : Name
}[LimitName]
