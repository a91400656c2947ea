/**
 * What can be set for a command: as a flag, by an environment variable, or in the configuration file; in this order, the first one that is
 * given counts. One description of it makes the flag, its help, and its row in docs/cli.md.
 */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Paths from "./internal/paths.ts"

/**
 * `text` is given once, `switch` is on or off, `texts` may be given several times. `pairs` too, as `KEY=VALUE`, and those of the file, the
 * variable and the flags are put together, a flag's value for a key being stronger.
 *
 * @category models
 */
export type Kind = "text" | "switch" | "texts" | "pairs"

/** @category models */
export interface Setting<A> {
  /** Of the flag. */
  readonly name: string
  /** In the configuration file. Default: the name. */
  readonly key: string
  readonly alias?: string | undefined
  readonly kind: Kind
  /** What stands for the value in help. */
  readonly metavar: string
  readonly choices?: ReadonlyArray<string> | undefined
  readonly description: string
  /** What holds if nothing is given, in words. */
  readonly fallback: string
  /** Default `JOBSCOPE_<KEY>`. */
  readonly variable: string
  /** Of what was given, each time once; nothing if it was not. A failure is a sentence about it. */
  readonly decode: (values: ReadonlyArray<string>) => Result.Result<A, string>
}

interface About {
  readonly name: string
  readonly key?: string
  readonly alias?: string
  readonly metavar?: string
  readonly description: string
  readonly fallback?: string
  readonly variable?: string
}

const make = <A>(
  { fallback = "", metavar = "", name, key = name, variable, ...about }: About,
  kind: Kind,
  decode: Setting<A>["decode"],
  choices?: ReadonlyArray<string>
): Setting<A> => ({
  ...about,
  name,
  key,
  kind,
  choices,
  metavar,
  fallback,
  variable: variable ?? `JOBSCOPE_${key.toUpperCase().replaceAll("-", "_")}`,
  decode
})

/** @category constructors */
export const text = (about: About): Setting<string | undefined> =>
  make(about, "text", ([value]) => (value === "" ? Result.fail("it is empty") : Result.succeed(value)))

/** @category constructors */
export const parsed = <A>(about: About, parse: (value: string) => Result.Result<A, string>): Setting<A | undefined> =>
  make<A | undefined>(about, "text", ([value]) => (value === undefined ? Result.succeed(undefined) : parse(value)))

/** @category constructors */
export const choice = <const Choices extends ReadonlyArray<string>>(
  about: About,
  choices: Choices
): Setting<Choices[number] | undefined> =>
  make<Choices[number] | undefined>(
    about,
    "text",
    ([value]) => {
      const found = choices.find((each) => each === value)
      return value === undefined || found !== undefined
        ? Result.succeed(found)
        : Result.fail(`expected ${choices.map((each) => `"${each}"`).join(", ")}, not "${value}"`)
    },
    choices
  )

/** @category constructors */
export const toggle = (about: About, fallback: boolean): Setting<boolean> =>
  make({ fallback: fallback ? "on" : "off", ...about }, "switch", ([value]) => {
    if (value === undefined) return Result.succeed(fallback)
    const word = value.toLowerCase()
    if (["true", "1", "yes", "on"].includes(word)) return Result.succeed(true)
    if (["false", "0", "no", "off", ""].includes(word)) return Result.succeed(false)
    return Result.fail(`expected "true" or "false", not "${value}"`)
  })

/** @category constructors */
export const texts = (about: About): Setting<ReadonlyArray<string>> => make(about, "texts", Result.succeed)

/**
 * Pairs as they were written, later ones of a key after earlier ones. Without a `=` the value is undefined.
 *
 * @category constructors
 */
export const pairs = (about: About): Setting<ReadonlyArray<readonly [key: string, value: string | undefined]>> =>
  make(about, "pairs", (values) => {
    const found = values.map((each) => {
      const at = each.indexOf("=")
      return at < 0 ? ([each, undefined] as const) : ([each.slice(0, at), each.slice(at + 1)] as const)
    })
    // Not what was given: it may be a secret.
    return found.some(([key]) => key.trim() === "") ? Result.fail("there is one without a name") : Result.succeed(found)
  })

/**
 * Pairs by their keys, the last of a key, with what their values mean.
 *
 * @category constructors
 */
export const parsedPairs = <A>(
  about: About,
  parse: (value: string | undefined) => Result.Result<A, string>
): Setting<Readonly<Record<string, A>>> =>
  make(about, "pairs", (values) =>
    Result.flatMap(pairs(about).decode(values), (found) =>
      Result.map(
        Result.all(found.map(([key, value]) => Result.map(parse(value), (parsed) => [key, parsed] as const))),
        (entries): Readonly<Record<string, A>> => Object.fromEntries(entries)
      )
    )
  )

/**
 * The settings of a command, by the name that its handler has for them.
 *
 * @category models
 */
export type Settings = Readonly<Record<string, Setting<unknown>>>

/** @category models */
export type Values<All extends Settings> = {
  readonly [Key in keyof All]: All[Key] extends Setting<infer A> ? A : never
}

/**
 * What was given on the command line.
 *
 * @category models
 */
export type Given<All extends Settings> = { readonly [Key in keyof All]: ReadonlyArray<string> }

/** @category models */
export type Flags<All extends Settings> = { readonly [Key in keyof All]: Flag.Flag<ReadonlyArray<string>> }

/**
 * The flag of a setting: it gives what was written, each time once.
 *
 * @category constructors
 */
export const flag = (setting: Setting<unknown>): Flag.Flag<ReadonlyArray<string>> => {
  const raw = rawFlag(setting)
  const named = setting.alias === undefined ? raw : raw.pipe(Flag.withAlias(setting.alias))
  return named.pipe(Flag.withDescription(describe(setting)))
}

const rawFlag = ({ choices, kind, metavar, name }: Setting<unknown>): Flag.Flag<ReadonlyArray<string>> => {
  if (kind === "switch") return Flag.Boolean(name).pipe(Flag.optional, Flag.map(given), Flag.map(strings))
  const path = pathTypes[metavar]
  const plain = path === undefined ? Flag.String(name) : Paths.flag(name, path)
  const one = choices === undefined ? plain.pipe(Flag.withMetavar(metavar)) : Flag.Literals(name, choices)
  return kind === "text" ? one.pipe(Flag.optional, Flag.map(given)) : one.pipe(Flag.atLeast(0))
}

const pathTypes: Readonly<Record<string, "file" | "directory">> = { FILE: "file", DIRECTORY: "directory" }

const given = <A>(option: Option.Option<A>): ReadonlyArray<A> => Option.toArray(option)
const strings = (values: ReadonlyArray<unknown>): ReadonlyArray<string> => values.map(String)

const describe = ({ description, fallback, variable }: Setting<unknown>): string =>
  `${description}${fallback === "" ? "" : `. Default: ${fallback}`} [$${variable}]`
