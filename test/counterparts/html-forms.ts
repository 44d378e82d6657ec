// Owns reading the forms and links out of a page, enough of HTML for pages that work without
// scripts: no tree, no layout, only what a person could fill in, press and follow.

/** One thing in a form that carries a value. */
export interface FormField {
  readonly name: string
  readonly type: string
  readonly value: string
  readonly isChecked: boolean
}

export interface FormButton {
  readonly name: string
  readonly value: string
  readonly text: string
  readonly action: string | undefined
}

/** A form of a page. */
export interface Form {
  readonly id: string
  readonly action: string
  readonly method: 'GET' | 'POST'
  readonly fields: readonly FormField[]
  readonly buttons: readonly FormButton[]
}

export interface Link {
  readonly href: string
  readonly text: string
}

/** Reads the forms and links of a page; `url` is where the page came from. */
export function readPage(html: string, url: string): { forms: Form[]; links: Link[] } {
  const tokens = readTokens(html)
  const formTags = tokens.filter((token) => token.tag === 'form')
  const forms = formTags.map((tag) => readForm(tag, tokens, url))
  const links = tokens.filter((token) => token.tag === 'a' && token.attributes.has('href'))
  return {
    forms,
    links: links.map((token) => ({
      href: absolute(token.attributes.get('href'), url),
      text: token.text,
    })),
  }
}

interface Token {
  readonly tag: string
  readonly attributes: ReadonlyMap<string, string>
  /** The words up to the matching end tag. */
  readonly text: string
  /** Where the enclosing form began, -1 outside of one. */
  readonly formAt: number
  readonly at: number
}

const tagPattern = /<!--[\s\S]*?-->|<(\/?)([a-z][^\s/>]*)((?:[^"'>]|"[^"]*"|'[^']*')*)>/gi
const attributePattern = /([^\s=/"'>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g
const skippedTags = new Set(['script', 'style', 'template'])

function readTokens(html: string): Token[] {
  const tokens: Token[] = []
  let formAt = -1
  let skipUntil = 0
  for (const match of html.matchAll(tagPattern)) {
    const [whole, slash, name = '', attributes = ''] = match
    const tag = name.toLowerCase()
    if (match.index < skipUntil || tag === '') continue
    if (slash === '/') {
      if (tag === 'form') formAt = -1
      continue
    }
    const inner = innerOf(html, match.index + whole.length, tag)
    if (skippedTags.has(tag)) skipUntil = match.index + whole.length + inner.length
    if (tag === 'form') formAt = match.index
    const text = tag === 'textarea' ? decode(inner) : wordsOf(inner)
    tokens.push({ tag, attributes: readAttributes(attributes), text, formAt, at: match.index })
  }
  return tokens
}

const tagsWithText = new Set(['a', 'button', 'option', 'textarea', ...skippedTags])

function innerOf(html: string, from: number, tag: string): string {
  if (!tagsWithText.has(tag)) return ''
  const end = html.toLowerCase().indexOf(`</${tag}`, from)
  return html.slice(from, end < 0 ? html.length : end)
}

function wordsOf(inner: string): string {
  return decode(inner.replace(/<[^>]*>/g, ' '))
    .replace(/\s+/g, ' ')
    .trim()
}

function readAttributes(text: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>()
  for (const [, name = '', double, single, bare] of text.matchAll(attributePattern)) {
    const key = name.toLowerCase()
    if (!attributes.has(key)) attributes.set(key, decode(double ?? single ?? bare ?? ''))
  }
  return attributes
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
}

function decode(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|([a-z]+));/gi, (whole, decimal, hex, name) => {
    if (decimal) return String.fromCodePoint(Number(decimal))
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16))
    return entities[String(name).toLowerCase()] ?? whole
  })
}

function absolute(href: string | undefined, url: string): string {
  return href && URL.canParse(href, url) ? new URL(href, url).href : url
}

function readForm(tag: Token, tokens: readonly Token[], url: string): Form {
  const id = tag.attributes.get('id') ?? ''
  const isInside = (token: Token) => {
    const named = token.attributes.get('form')
    return named === undefined ? token.formAt === tag.at : named === id
  }
  const inside = tokens.filter((token) => isInside(token) && !token.attributes.has('disabled'))
  return {
    id,
    action: absolute(tag.attributes.get('action'), url),
    method: tag.attributes.get('method')?.toLowerCase() === 'post' ? 'POST' : 'GET',
    fields: inside.flatMap((token) => readFields(token, inside)),
    buttons: inside.filter(isSubmitButton).map((token) => readButton(token, url)),
  }
}

const notFields = new Set(['submit', 'image', 'button', 'reset'])

function readFields(token: Token, inside: readonly Token[]): FormField[] {
  const { tag, attributes } = token
  const name = attributes.get('name') ?? ''
  const type = tag === 'input' ? (attributes.get('type') ?? 'text').toLowerCase() : tag
  if (tag === 'textarea') return [{ name, type, value: token.text, isChecked: true }]
  if (tag === 'select') return [{ name, type, value: chosenOption(token, inside), isChecked: true }]
  if (tag !== 'input' || name === '' || notFields.has(type)) return []
  const isTickable = type === 'checkbox' || type === 'radio'
  const value = attributes.get('value') ?? (isTickable ? 'on' : '')
  return [{ name, type, value, isChecked: !isTickable || attributes.has('checked') }]
}

function chosenOption(select: Token, inside: readonly Token[]): string {
  const next = inside.find((token) => token.tag === 'select' && token.at > select.at)
  const until = next?.at ?? Number.POSITIVE_INFINITY
  const isOption = (token: Token) => token.tag === 'option' && token.at > select.at
  const options = inside.filter((token) => isOption(token) && token.at < until)
  const chosen = options.find((option) => option.attributes.has('selected')) ?? options[0]
  return chosen?.attributes.get('value') ?? chosen?.text ?? ''
}

function isSubmitButton({ tag, attributes }: Token): boolean {
  const type = attributes.get('type')?.toLowerCase()
  if (tag === 'button') return type === undefined || type === 'submit'
  return tag === 'input' && (type === 'submit' || type === 'image')
}

function readButton({ tag, attributes, text }: Token, url: string): FormButton {
  const value = attributes.get('value') ?? ''
  const formAction = attributes.get('formaction')
  return {
    name: attributes.get('name') ?? '',
    value,
    text: tag === 'input' ? value : text,
    action: formAction === undefined ? undefined : absolute(formAction, url),
  }
}
