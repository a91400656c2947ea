/**
 * Colours, or none: every text that is shown goes through one of these, so that a renderer need not ask.
 */

/** @category models */
export interface Style {
  readonly color: boolean
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  /** One of a few colours that are told apart well, by number: for the names of jobs. */
  readonly hue: (number: number, text: string) => string
}

/** @category constructors */
export const make = (color: boolean): Style => {
  const sgr = (on: number, off: number) => (text: string) =>
    color && text !== "" ? `\u001b[${on}m${text}\u001b[${off}m` : text
  const hues = [36, 35, 34, 33, 32, 96, 95, 94].map((code) => sgr(code, 39))
  return {
    color,
    bold: sgr(1, 22),
    dim: sgr(2, 22),
    red: sgr(31, 39),
    green: sgr(32, 39),
    yellow: sgr(33, 39),
    hue: (number, text) => hues[number % hues.length]!(text)
  }
}
