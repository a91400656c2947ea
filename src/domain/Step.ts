/**
 * What runs in an environment: a script in the job's container (or on the host), or a container of its own.
 *
 * A step says what to run. When it runs, and what its failure means, is the business of a `JobStep` (`Job.ts`).
 */
import * as Schema from "effect/Schema"
import { Mount, RegistryCredentials } from "./Container.ts"
import { EnvVars } from "./EnvVars.ts"
import { defaulted } from "./internal/defaulted.ts"

/**
 * A small text file that a step finds, and that may be read back after it: how steps hand values over.
 *
 * **Details**
 *
 * The backend puts it into a directory of the step's own, outside the workspace, readable and writable for the step, and
 * sets `variable` to its path. With `collect` its content after the step is part of `RunningStep.files`.
 *
 * @category schemas
 */
export class StepFile extends Schema.Class<StepFile>("jobscope/StepFile")({
  /** A file name without directories, unique in the step. */
  name: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/)),
  content: Schema.String.pipe(defaulted("")),
  /** Environment variable that receives the file's path. */
  variable: Schema.optionalKey(Schema.NonEmptyString),
  collect: Schema.Boolean.pipe(defaulted(false))
}) {}

/**
 * A script, run in the job's container, or on the host where the job has none.
 *
 * @category schemas
 */
export class ScriptStep extends Schema.TaggedClass<ScriptStep>()("ScriptStep", {
  script: Schema.String,
  /**
   * Command line of the interpreter, words as `sh` reads them; `{0}` stands for the path of the script file and is appended
   * if it is missing, unless the script is empty: then the shell is the whole command. Default `sh -e {0}`.
   */
  shell: Schema.NonEmptyString.pipe(defaulted("sh -e {0}")),
  env: EnvVars.pipe(defaulted({})),
  /** Absolute, or relative to the workspace. Left out, the job's. */
  workingDirectory: Schema.optionalKey(Schema.NonEmptyString),
  /** Directories put before `PATH`, first one first. */
  prependPath: Schema.Array(Schema.NonEmptyString).pipe(defaulted([])),
  /** `with-stdout`: one stream, in exactly the order of writing. `apart`: two, whose order among each other is not known. */
  stderr: Schema.Literals(["apart", "with-stdout"]).pipe(defaulted("apart")),
  files: Schema.Array(StepFile).pipe(defaulted([]))
}) {}

/**
 * A container of its own: in the job's network, with the job's workspace.
 *
 * @category schemas
 */
export class ContainerStep extends Schema.TaggedClass<ContainerStep>()(
  "ContainerStep",
  Schema.Struct({
    /** Left out only where there is a `dockerfile`. */
    image: Schema.String.pipe(defaulted("")),
    /**
     * Absolute path, on the machine that asks for the step, of a Dockerfile to take in place of an image; its directory is what it copies from.
     * `entryPoint` and `args` then replace its ENTRYPOINT and CMD, and `env` is never there while it is built.
     */
    dockerfile: Schema.optionalKey(Schema.NonEmptyString),
    credentials: Schema.optionalKey(RegistryCredentials),
    /** Left out, the image's own. Given as arguments, never through a shell. */
    entryPoint: Schema.optionalKey(Schema.Array(Schema.String)),
    args: Schema.Array(Schema.String).pipe(defaulted([])),
    env: EnvVars.pipe(defaulted({})),
    /** Left out, the image's own. */
    workingDirectory: Schema.optionalKey(Schema.NonEmptyString),
    mounts: Schema.Array(Mount).pipe(defaulted([])),
    files: Schema.Array(StepFile).pipe(defaulted([]))
  }).check(
    Schema.makeFilter(({ dockerfile, image }: { readonly image: string; readonly dockerfile?: string }) =>
      image !== "" || dockerfile !== undefined ? undefined : "a container step needs an image or a Dockerfile"
    )
  )
) {}

/** @category schemas */
export const Step = Schema.Union([ScriptStep, ContainerStep])

/** @category models */
export type Step = typeof Step.Type
