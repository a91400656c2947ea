/**
 * The backends that `jobscope` can be told to use: what each is called, what can be set for it, and how it is made.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LocalBackend from "../../backends/local/LocalBackend.ts"
import type { JobBackend } from "../../domain/JobBackend.ts"
import { type BackendError, fail, InvalidInput } from "../../domain/JobError.ts"
import * as Setting from "./Setting.ts"

/** @category models */
export type Name = (typeof names)[number]

export const names = ["local", "pod", "kro"] as const

/** @category guards */
export const isName = (name: string): name is Name => names.some((each) => each === name)

/** Those that are asked where none is named. */
export const reachable: ReadonlyArray<Name> = ["local"]

/**
 * What can be set for backends, in every command that uses one.
 *
 * @category options
 */
export const settings = {
  stateDirectory: Setting.text({
    name: "state-dir",
    metavar: "DIRECTORY",
    description: "Where the local backend keeps its environments",
    fallback: "$XDG_STATE_HOME/jobscope, else ~/.local/state/jobscope"
  })
}

/** @category models */
export type Values = Setting.Values<typeof settings>

/**
 * Makes a backend when it is needed.
 *
 * @category layers
 */
export const layer = (name: Name, { stateDirectory }: Values): Layer.Layer<JobBackend, BackendError> => {
  switch (name) {
    case "local":
      return LocalBackend.layer({ stateDirectory })
    case "pod":
    case "kro":
      return missing(name)
  }
}

const missing = (name: Name): Layer.Layer<JobBackend, BackendError> =>
  Layer.unwrap(
    Effect.suspend(() =>
      fail(new InvalidInput({ input: "--backend", detail: `this version of jobscope has no backend "${name}" yet` }))
    )
  )
