/**
 * Variables, secrets and inputs from where they are given: files, flags, and the environment of this program.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import * as Dotenv from "./dotenv.ts"

/** @category models */
export type Variables = Readonly<Record<string, Redacted.Redacted<string>>>

/** @category options */
export interface Sources {
  /** What they are given as, for messages: `--secret`. */
  readonly flag: string
  readonly files: ReadonlyArray<string>
  /** Without a value: that of the variable of this program with the same name. */
  readonly pairs: ReadonlyArray<readonly [name: string, value: string | undefined]>
}

/**
 * All of them; what is given as a pair is stronger than what a file says, later ones than earlier ones.
 *
 * @category reading
 */
export const read = Effect.fnUntraced(function* ({
  files,
  flag,
  pairs
}: Sources): Effect.fn.Return<Variables, BackendError, FileSystem.FileSystem> {
  const found = new Map<string, string>()
  for (const file of files) for (const [name, value] of yield* readFile(flag, file)) found.set(name, value)
  for (const [name, value] of pairs) {
    const given = value ?? (yield* inherited(name))
    if (given === undefined) {
      return yield* fail(
        new InvalidInput({
          input: `${flag} ${name}`,
          detail: "it has no value, and the variable of that name is not set here, or empty"
        })
      )
    }
    found.set(name, given)
  }
  return Object.fromEntries([...found].map(([name, value]) => [name, Redacted.make(value)]))
})

const inherited = (name: string): Effect.Effect<string | undefined> =>
  Effect.map(
    Effect.orElseSucceed(Config.option(Config.String(name)), () => Option.none<string>()),
    Option.getOrUndefined
  )

/** As YAML where the file is called so, else `NAME=value` lines. */
const readFile = Effect.fnUntraced(function* (flag: string, path: string) {
  const refuse = (detail: string) =>
    new BackendError({ reason: new InvalidInput({ input: `${flag}-file ${path}`, detail }) })
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(fs.readFileString(path), (error) =>
    refuse(error.reason._tag === "NotFound" ? "there is no such file" : `it cannot be read (${error.reason._tag})`)
  )
  const read = /\.ya?ml$/i.test(path) ? fromYaml(text) : Dotenv.parse(text)
  return yield* Result.isFailure(read) ? Effect.fail(refuse(read.failure)) : Effect.succeed(read.success)
})

const fromYaml = (text: string): Result.Result<ReadonlyMap<string, string>, string> =>
  Result.flatMap(
    // The parser's own words quote the file, which holds secrets.
    Result.try({ try: () => Yaml.parse(text), catch: () => "it is no YAML that can be read" }),
    (content) => {
      if (content === null || content === undefined) return Result.succeed(new Map())
      if (!Predicate.isObject(content) || Array.isArray(content))
        return Result.fail("expected a mapping of names to texts")
      const wrong = Object.entries(content).find(([, value]) => typeof value === "object")
      return wrong === undefined
        ? Result.succeed(new Map(Object.entries(content).map(([name, value]) => [name, String(value)])))
        : Result.fail(`"${wrong[0]}" is not a text`)
    }
  )
