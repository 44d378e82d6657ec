// Bars, drawn on the server: each has a name for those who cannot see it, and the colours come from the style sheet.
import { html } from 'hono/html'
import type { Html } from './layout.ts'

/** What a bar is made of, from the ground up, and its colour. */
export interface Part {
  readonly kind: 'answered' | 'failed' | 'refused'
  readonly count: number
}

export interface Bar {
  /** What it says, in words. */
  readonly name: string
  readonly parts: readonly Part[]
}

const chart = { width: 600, height: 100, gapShare: 0.2, barWidthMax: 80 } as const
/** What there is at all can be seen. */
const partHeightMin = 1.5

/** Bars side by side, the highest as high as the chart. */
export function barChart(title: string, bars: readonly Bar[]): Html {
  const highest = Math.max(1, ...bars.map(totalOf))
  const place = chart.width / Math.max(1, bars.length)
  const width = Math.min(place * (1 - chart.gapShare), chart.barWidthMax)
  return html`<svg
    class="chart"
    viewBox="0 0 ${chart.width} ${chart.height}"
    preserveAspectRatio="none"
    role="group"
    aria-label="${title}"
  >
    ${bars.map((bar, index) => {
      const x = place * index + (place - width) / 2
      return html`<g role="img" aria-label="${bar.name}">
        <title>${bar.name}</title>
        ${standing(bar, { x, width, highest })}
      </g>`
    })}
  </svg>`
}

function totalOf({ parts }: Bar): number {
  return parts.reduce((sum, { count }) => sum + count, 0)
}

function standing(
  { parts }: Bar,
  { x, width, highest }: { readonly x: number; readonly width: number; readonly highest: number },
): Html {
  let top: number = chart.height
  const rects = parts
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => {
      const height = Math.max(partHeightMin, (count / highest) * chart.height)
      top = Math.max(0, top - height)
      return html`<rect
        class="${kind}"
        x="${rounded(x)}"
        y="${rounded(top)}"
        width="${rounded(width)}"
        height="${rounded(height)}"
      />`
    })
  // The whole column shows its name to whoever points at it, however low the bar is.
  return html`<rect
      class="column"
      x="${rounded(x)}"
      y="0"
      width="${rounded(width)}"
      height="${chart.height}"
    />${rects}`
}

/** One bar that lies, as long as its share of the most. */
export function lyingBar({ name, parts }: Bar, most: number): Html {
  let left = 0
  return html`<svg
    class="lying"
    viewBox="0 0 100 10"
    preserveAspectRatio="none"
    role="img"
    aria-label="${name}"
  >
    ${parts
      .filter(({ count }) => count > 0)
      .map(({ kind, count }) => {
        const width = (count / Math.max(1, most)) * 100
        const x = left
        left += width
        return html`<rect
          class="${kind}"
          x="${rounded(x)}"
          y="0"
          width="${rounded(width)}"
          height="10"
        />`
      })}
  </svg>`
}

/** What the colours mean. */
export function chartKey(kinds: readonly { readonly kind: Part['kind']; readonly name: string }[]) {
  return html`<p class="keys quiet">
    ${kinds.map(
      ({ kind, name }) =>
        html`<span
          ><svg class="key" viewBox="0 0 10 10" aria-hidden="true">
            <rect class="${kind}" width="10" height="10" />
          </svg>
          ${name}</span
        >`,
    )}
  </p>`
}

function rounded(value: number): string {
  return String(Math.round(value * 100) / 100)
}
