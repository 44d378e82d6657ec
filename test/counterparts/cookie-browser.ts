// Owns a browser without scripts and without a screen: it follows redirects, keeps cookies, reads
// forms and sends them with the headers a real navigation carries. It draws and runs nothing.
import { lookup as resolveName } from 'node:dns'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { LookupFunction } from 'node:net'

import { createCookieJar, type Cookie, type CookieJar } from './cookie-jar.ts'
import { readPage, type Form, type FormButton, type FormField, type Link } from './html-forms.ts'

/** Where the browser stands after a navigation. */
export interface Page {
  readonly url: string
  readonly status: number
  readonly headers: Headers
  readonly html: string
  readonly forms: readonly Form[]
  readonly links: readonly Link[]
  /** True when `stopAt` caught the redirect to `url`: it was not fetched. */
  readonly isStopped: boolean
  /** Every URL of this navigation, the first asked and the last reached. */
  readonly trail: readonly string[]
}

/** What a person does with a form. */
export interface Submission {
  /** Values to fill in by field name; true or false ticks a checkbox. */
  readonly fields?: Readonly<Record<string, string | boolean>>
  /** The button to press: its value, its text, or its name and value. */
  readonly button?: string | { readonly name: string; readonly value: string }
  /** Which form, by its place on the page, when neither fields nor button tell. */
  readonly form?: number
}

/** A browser without scripts. */
export interface CookieBrowser {
  readonly open: (url: string) => Promise<Page>
  readonly submit: (submission?: Submission) => Promise<Page>
  /** Follows a link by its text. */
  readonly follow: (text: string) => Promise<Page>
  readonly current: () => Page
  readonly cookies: () => readonly Cookie[]
  /** Captures redirects (and navigations) to these URLs instead of following them. */
  readonly setStopAt: (stopAt: (url: URL) => boolean) => void
}

export interface NavigationRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export type FetchLike = (url: string, init: NavigationRequest) => Promise<Response>

export interface CookieBrowserOptions {
  readonly stopAt?: (url: URL) => boolean
}

/** Makes a browser with an empty cookie jar; `fetchLike` must not follow redirects. */
export function createCookieBrowser(
  fetchLike: FetchLike = fetchOverHttp,
  options: CookieBrowserOptions = {},
): CookieBrowser {
  const jar = createCookieJar()
  let page: Page | undefined
  let stopAt = options.stopAt ?? (() => false)
  const current = () => {
    if (page === undefined) throw new Error('the browser has not opened a page yet')
    return page
  }
  const go = async (hop: Hop) => {
    page = await navigate({ jar, fetchLike, stopAt }, hop)
    return page
  }
  return {
    open: (url) => go({ url: new URL(url), method: 'GET', initiator: undefined }),
    submit: (submission = {}) => go(submissionHop(current(), submission)),
    follow: (text) => go(linkHop(current(), text)),
    current,
    cookies: () => jar.all(),
    setStopAt: (next) => void (stopAt = next),
  }
}

interface Parts {
  readonly jar: CookieJar
  readonly fetchLike: FetchLike
  readonly stopAt: (url: URL) => boolean
}

interface Hop {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly body?: string
  /** The page whose form or link started this; undefined when a person typed the URL. */
  readonly initiator: string | undefined
}

const maxRedirects = 20

async function navigate(parts: Parts, first: Hop): Promise<Page> {
  const trail: string[] = []
  let hop = first
  let isCrossSite = false
  while (trail.length <= maxRedirects) {
    trail.push(hop.url.href)
    isCrossSite ||= hop.initiator !== undefined && !isSameSite(new URL(hop.initiator), hop.url)
    if (parts.stopAt(hop.url)) return stoppedPage(hop.url, trail)
    const answer = await send(parts, hop, isCrossSite)
    const next = redirectOf(answer, hop)
    if (next === undefined) return readAnswer(answer, hop.url, trail)
    hop = next
  }
  throw new Error(`more than ${maxRedirects} redirects: ${trail.join(' → ')}`)
}

function isSameSite(a: URL, b: URL): boolean {
  return a.protocol === b.protocol && a.hostname === b.hostname
}

async function send(parts: Parts, hop: Hop, isCrossSite: boolean): Promise<Response> {
  const cookie = parts.jar.headerFor(hop.url, { method: hop.method, isCrossSite })
  const answer = await parts.fetchLike(hop.url.href, {
    method: hop.method,
    headers: { ...navigationHeaders(hop, isCrossSite), ...(cookie && { cookie }) },
    ...(hop.body !== undefined && { body: hop.body }),
  })
  parts.jar.store(hop.url, answer.headers.getSetCookie())
  return answer
}

// What a browser says about a navigation: Fetch Metadata, and Origin with a POST.
function navigationHeaders(hop: Hop, isCrossSite: boolean): Record<string, string> {
  return {
    accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
    'accept-language': 'en',
    'user-agent': 'Mozilla/5.0 (cookie browser)',
    'upgrade-insecure-requests': '1',
    'sec-fetch-site': fetchSite(hop, isCrossSite),
    'sec-fetch-mode': 'navigate',
    'sec-fetch-user': '?1',
    'sec-fetch-dest': 'document',
    ...(hop.method === 'POST' && {
      origin: hop.initiator === undefined ? 'null' : new URL(hop.initiator).origin,
      'content-type': 'application/x-www-form-urlencoded',
    }),
  }
}

function fetchSite(hop: Hop, isCrossSite: boolean): string {
  if (hop.initiator === undefined) return 'none'
  if (isCrossSite) return 'cross-site'
  return new URL(hop.initiator).origin === hop.url.origin ? 'same-origin' : 'same-site'
}

// RFC 9110 §15.4: 307 and 308 keep method and body, the others become a GET.
function redirectOf(answer: Response, hop: Hop): Hop | undefined {
  const location = answer.headers.get('location')
  if (answer.status < 300 || answer.status > 399 || location === null) return undefined
  const url = new URL(location, hop.url)
  if (answer.status === 307 || answer.status === 308) return { ...hop, url }
  return { url, method: 'GET', initiator: hop.initiator }
}

function stoppedPage(url: URL, trail: readonly string[]): Page {
  const nothing = { status: 0, headers: new Headers(), html: '', forms: [], links: [] }
  return { ...nothing, url: url.href, isStopped: true, trail }
}

async function readAnswer(answer: Response, url: URL, trail: readonly string[]): Promise<Page> {
  const html = await answer.text()
  const { status, headers } = answer
  return {
    url: url.href,
    status,
    headers,
    html,
    ...readPage(html, url.href),
    isStopped: false,
    trail,
  }
}

function linkHop(page: Page, text: string): Hop {
  const link = page.links.find((candidate) => candidate.text === text)
  if (!link) throw new Error(`no link “${text}” on ${page.url}`)
  return { url: new URL(link.href), method: 'GET', initiator: page.url }
}

function submissionHop(page: Page, submission: Submission): Hop {
  const form = chooseForm(page, submission)
  const button = chooseButton(form, submission.button)
  const filled = new URLSearchParams(fillIn(form.fields, submission.fields ?? {}))
  if (button?.name) filled.append(button.name, button.value)
  const url = new URL(button?.action ?? form.action)
  if (form.method === 'POST') {
    return { url, method: 'POST', body: filled.toString(), initiator: page.url }
  }
  url.search = filled.toString()
  return { url, method: 'GET', initiator: page.url }
}

function chooseForm(page: Page, submission: Submission): Form {
  const names = Object.keys(submission.fields ?? {})
  const fits = (form: Form) =>
    names.every((name) => form.fields.some((field) => field.name === name)) &&
    (submission.button === undefined || findButton(form, submission.button) !== undefined)
  const form = submission.form === undefined ? page.forms.find(fits) : page.forms[submission.form]
  if (form) return form
  const seen = page.forms.map(({ fields }) => fields.map(({ name }) => name).join(','))
  throw new Error(`no such form on ${page.url} (${page.status}); its forms: ${seen.join(' | ')}`)
}

function findButton(form: Form, wanted: NonNullable<Submission['button']>) {
  return form.buttons.find((button) => {
    if (typeof wanted === 'string') return button.value === wanted || button.text === wanted
    return button.name === wanted.name && button.value === wanted.value
  })
}

// Enter in a field presses the form's first button, as browsers do.
function chooseButton(form: Form, wanted: Submission['button']): FormButton | undefined {
  return wanted === undefined ? form.buttons[0] : findButton(form, wanted)
}

function fillIn(
  fields: readonly FormField[],
  values: Readonly<Record<string, string | boolean>>,
): [string, string][] {
  return fields.flatMap((field): [string, string][] => {
    const given = values[field.name]
    const isTickable = field.type === 'checkbox' || field.type === 'radio'
    if (!isTickable) return [[field.name, given === undefined ? field.value : String(given)]]
    const isTicked = given === undefined ? field.isChecked : given === true || given === field.value
    return isTicked ? [[field.name, field.value]] : []
  })
}

/** Sends one request over plain http; unlike `fetch` it leaves the Fetch Metadata headers alone. */
export function fetchOverHttp(url: string, init: NavigationRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    const { method, headers } = init
    const request = httpRequest(url, { method, headers, agent: false, lookup }, (answer) => {
      const chunks: Buffer[] = []
      const finish = () => {
        const status = answer.statusCode ?? 0
        const body = [204, 205, 304].includes(status) ? null : Buffer.concat(chunks)
        resolve(new Response(body, { status, headers: pairsOf(answer.rawHeaders) }))
      }
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if (!isEndless(answer)) return
        finish()
        request.destroy()
      })
      answer.on('error', reject)
      answer.on('end', finish)
    })
    request.on('error', reject)
    request.end(init.body)
  })
}

/** RFC 6761 §6.3: names under localhost are this machine, which not every resolver knows. */
const lookup: LookupFunction = (hostname, options, done) => {
  const isOurs = hostname.endsWith('.localhost')
  resolveName(
    isOurs ? 'localhost' : hostname,
    { ...options, ...(isOurs ? { family: 4 } : {}) },
    done,
  )
}

/** An event stream goes on until somebody leaves: its beginning has to do. */
function isEndless({ headers }: IncomingMessage): boolean {
  return headers['content-type']?.startsWith('text/event-stream') === true
}

function pairsOf(rawHeaders: readonly string[]): [string, string][] {
  const names = rawHeaders.filter((_, at) => at % 2 === 0)
  return names.map((name, at) => [name, rawHeaders[at * 2 + 1] ?? ''])
}
