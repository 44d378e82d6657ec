// A tenant's own colour, made fit to be read: on the light ground it is as dark, and on the dark one as light, as WCAG 2.2 §1.4.3
// asks of text, however it was chosen. Pure.

/** Of the style sheet: what texts in the accent stand on. */
const cards = { light: '#ffffff', dark: '#1b2029' } as const
const inks = ['#ffffff', '#0d1422'] as const
const contrastLeast = 4.5
const steps = 20

type Channels = readonly [number, number, number]

/** The accent, and what is written on it. */
export interface Accent {
  readonly accent: string
  readonly ink: string
}

/** The accent for each look, nearest to the colour `#rrggbb` that can be read there. */
export function accentFor(colour: string): Readonly<Record<keyof typeof cards, Accent>> {
  return {
    light: readable(colour, cards.light, '#000000'),
    dark: readable(colour, cards.dark, '#ffffff'),
  }
}

/** Goes towards black or white until it stands out from the card. */
function readable(colour: string, card: string, towards: string): Accent {
  const shades = Array.from({ length: steps + 1 }, (_, step) => mix(colour, towards, step / steps))
  const accent = shades.find((shade) => contrast(shade, card) >= contrastLeast) ?? towards
  const ink = inks.find((one) => contrast(one, accent) >= contrastLeast) ?? inks[1]
  return { accent, ink }
}

function channelsOf(colour: string): Channels {
  const at = (index: number) => Number.parseInt(colour.slice(index, index + 2), 16)
  return [at(1), at(3), at(5)]
}

function mix(from: string, to: string, part: number): string {
  const [one, other] = [channelsOf(from), channelsOf(to)]
  const mixed = one.map((channel, index) =>
    Math.round(channel + ((other[index] ?? 0) - channel) * part),
  )
  return `#${mixed.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`
}

/** WCAG 2.2, "contrast ratio". */
export function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].toSorted((a, b) => b - a)
  return (light + 0.05) / (dark + 0.05)
}

/** WCAG 2.2, "relative luminance". */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = channelsOf(colour).map((channel) => {
    const part = channel / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
