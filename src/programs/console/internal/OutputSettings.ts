/**
 * How output looks, decided from what is asked for and what the output is.
 */
import * as Config from "effect/Config"
import * as Option from "effect/Option"
import type { Timestamps } from "../Renderer.ts"

/**
 * What is asked for; `JobMain.Options` says what it means.
 *
 * @category options
 */
export interface Wanted {
  readonly renderer?: "auto" | OutputSettings["renderer"] | undefined
  readonly timestamps?: OutputSettings["timestamps"] | undefined
}

/**
 * What the output is.
 *
 * @category models
 */
export interface Facts {
  readonly terminal: boolean
  /** Of the environment: `NO_COLOR`, `FORCE_COLOR`, `TERM`, `CI`. */
  readonly variables: Variables
}

/** @category models */
export interface Variables {
  readonly noColor: string
  readonly forceColor: string
  readonly term: string
  readonly ci: string
}

/** @category models */
export interface OutputSettings {
  readonly renderer: "plain" | "live" | "silent"
  readonly timestamps: Timestamps
  /** Colour our own text. */
  readonly color: boolean
  /** Keep the colours that steps write. */
  readonly ansi: boolean
}

/**
 * Decides.
 *
 * **Details**
 *
 * `FORCE_COLOR` is stronger than `NO_COLOR`, as in Node. What steps write keeps its colours, unless the output is no terminal and
 * `NO_COLOR` is set. A terminal in CI has nobody before it.
 *
 * @category constructors
 */
export const decide = ({ terminal, variables }: Facts, wanted: Wanted): OutputSettings => {
  const { ci, forceColor, noColor, term } = variables
  const forced = forceColor === "" ? undefined : !isOff(forceColor)
  const watched = terminal && term !== "dumb"
  const color = forced ?? (watched && noColor === "")
  const renderer =
    wanted.renderer === undefined || wanted.renderer === "auto"
      ? watched && (ci === "" || isOff(ci))
        ? "live"
        : "plain"
      : wanted.renderer
  return {
    renderer,
    timestamps: wanted.timestamps ?? (terminal ? "elapsed" : "none"),
    color,
    ansi: terminal || forced === true || noColor === ""
  }
}

const isOff = (value: string) => value === "0" || value === "false"

const variable = (name: string): Config.Config<string> =>
  Config.map(
    Config.option(Config.String(name)),
    Option.getOrElse(() => "")
  )

/** @category configuration */
export const variables: Config.Config<Variables> = Config.all({
  noColor: variable("NO_COLOR"),
  forceColor: variable("FORCE_COLOR"),
  term: variable("TERM"),
  ci: variable("CI")
})
