/**
 * Everything that can be set for `jobscope`.
 */
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Backends from "./Backends.ts"
import * as Setting from "./Setting.ts"

const wholeNumber = (value: string): Result.Result<number, string> =>
  /^[0-9]{1,9}$/.test(value) && Number(value) > 0
    ? Result.succeed(Number(value))
    : Result.fail(`expected a whole number above 0, not "${value}"`)

const duration = (value: string): Result.Result<Duration.Duration, string> =>
  Result.mapError(decodeDuration(value), () => `expected a duration such as "12 hours", not "${value}"`)

const decodeDuration = Schema.decodeResult(Schema.DurationFromString)

export const config = Setting.text({
  name: "config",
  metavar: "FILE",
  description: "Configuration file",
  fallback: "the nearest .jobscope.yml up to the top of the repository"
})

export const workspace = Setting.text({
  name: "workspace",
  metavar: "DIRECTORY",
  description: "Directory that actions/checkout gives to jobs",
  fallback: "the one that the workflow file belongs to"
})

export const actions = Setting.parsedPairs(
  {
    name: "action",
    metavar: "NAME=./PATH|skip",
    description:
      "In place of an action elsewhere, by owner/name, in which * stands for anything: an action of this repository, or skip to leave it out; may be repeated"
  },
  (value) => (isInPlace(value) ? Result.succeed(value) : Result.fail(`expected skip or ./path, not "${value ?? ""}"`))
)

const isInPlace = (value: string | undefined): value is "skip" | `./${string}` =>
  value === "skip" || value?.startsWith("./") === true

export const inPlace = Setting.toggle(
  { name: "in-place", description: "Let jobs work in that directory itself, and not in a copy" },
  false
)

// ---- which jobs

export const job = Setting.texts({
  name: "job",
  alias: "j",
  metavar: "JOB",
  description: "Only these jobs, by id; * stands for anything; may be repeated",
  fallback: "all"
})

export const needs = Setting.toggle(
  {
    name: "needs",
    description: "With --job, also the jobs that those need; without, they count as successful, and have no outputs"
  },
  true
)

export const matrix = Setting.texts({
  name: "matrix",
  metavar: "KEY:VALUE",
  description: "Only combinations of a matrix with this value; may be repeated",
  fallback: "all"
})

// ---- what they see

export const env = Setting.pairs({
  name: "env",
  alias: "e",
  metavar: "NAME[=VALUE]",
  description:
    "Environment variable for every step, where the workflow has none of that name; without a value, this program's own; may be repeated"
})

export const envFile = Setting.texts({
  name: "env-file",
  metavar: "FILE",
  description: "File of such variables: NAME=VALUE lines, or YAML; may be repeated"
})

export const secret = Setting.pairs({
  name: "secret",
  alias: "s",
  metavar: "NAME[=VALUE]",
  description: "Secret, masked in all output; without a value, this program's variable of that name; may be repeated"
})

export const secretFile = Setting.texts({
  name: "secret-file",
  metavar: "FILE",
  description: "File of secrets: NAME=VALUE lines, or YAML; may be repeated"
})

export const variable = Setting.pairs({
  name: "var",
  metavar: "NAME[=VALUE]",
  description: "Value of the vars context; may be repeated"
})

export const input = Setting.pairs({
  name: "input",
  metavar: "NAME=VALUE",
  description: "Input of workflow_dispatch; may be repeated"
})

export const event = Setting.text({
  name: "event",
  metavar: "FILE",
  description: "JSON file with the event's payload, which is github.event"
})

export const eventName = Setting.text({
  name: "event-name",
  metavar: "NAME",
  description: "The event that runs the workflow",
  fallback: "workflow_dispatch if there are inputs, else the first of the file's"
})

// ---- how they run

export const backend = Setting.choice(
  { name: "backend", alias: "b", description: "Where jobs run", fallback: "local" },
  Backends.names
)

export const parallel = Setting.parsed(
  {
    name: "parallel",
    alias: "p",
    metavar: "N",
    description: "Jobs at a time, combinations of a matrix counted each",
    fallback: "4"
  },
  wholeNumber
)

export const image = Setting.pairs({
  name: "image",
  metavar: "[LABEL=]IMAGE",
  description:
    "pod: image of jobs without a container that run on this label, in which * stands for anything; an image alone is for all; may be repeated"
})

export const onFailure = Setting.choice(
  {
    name: "on-failure",
    description: "What becomes of the environment of a job that failed: deleted, or kept to look into",
    fallback: "delete"
  },
  ["delete", "keep"]
)

export const debug = Setting.toggle(
  { name: "debug", description: "Show what steps say for debugging (::debug::), and set RUNNER_DEBUG" },
  false
)

// ---- what is shown

export const output = Setting.choice(
  {
    name: "output",
    alias: "o",
    description: "How it is shown",
    fallback: "tty on a terminal, github in GitHub Actions, else plain",
    // `JOBSCOPE_OUTPUT` is the file that steps write their outputs to.
    variable: "JOBSCOPE_RUN_OUTPUT"
  },
  ["tty", "plain", "github", "json", "junit"]
)

export const timestamps = Setting.choice(
  {
    name: "timestamps",
    description: "What stands before each line, with the outputs tty and plain",
    fallback: "elapsed on a terminal, else none"
  },
  ["none", "elapsed", "utc"]
)

export const passthrough = Setting.toggle(
  { name: "passthrough", description: "Exit with the code of the step that failed, instead of 1" },
  false
)

export const summaryFile = Setting.text({
  name: "summary-file",
  metavar: "FILE",
  description: "Append what steps write to $GITHUB_STEP_SUMMARY to this file"
})

/** Of commands that list things. */
export const listOutput = Setting.choice(
  { name: "output", key: "list-output", alias: "o", description: "How it is shown", fallback: "text" },
  ["text", "json"]
)

export const validateOutput = Setting.choice(
  {
    name: "output",
    key: "validate-output",
    alias: "o",
    description: "How it is shown",
    fallback: "github in GitHub Actions, else text"
  },
  ["text", "json", "github"]
)

// ---- what is left

export const backends = Setting.texts({
  name: "backend",
  key: "backends",
  alias: "b",
  metavar: Backends.names.join("|"),
  description: "Only these backends; may be repeated",
  fallback: "all that can be reached"
})

export const owner = Setting.text({
  name: "owner",
  metavar: "OWNER",
  description: "Only environments of this owner"
})

export const environment = Setting.text({
  name: "environment",
  metavar: "ENVIRONMENT",
  description: "Remove this environment, whoever holds it",
  // `JOBSCOPE_ENVIRONMENT` marks the processes of an environment: the reaper must not take its own for what it is asked to remove.
  variable: "JOBSCOPE_REAP_ENVIRONMENT"
})

export const handedOverFor = Setting.parsed(
  {
    name: "handed-over-for",
    metavar: "DURATION",
    description: "Also remove environments that were handed over, and are older than this, for example '12 hours'",
    fallback: "they stay"
  },
  duration
)

export const dryRun = Setting.toggle(
  { name: "dry-run", alias: "n", description: "Say what would be removed, and remove nothing" },
  false
)

export const all = Setting.toggle(
  { name: "all", alias: "a", description: "Also name the environments that stay" },
  false
)

// ---- actions with a Dockerfile

export const builder = Setting.choice(
  {
    name: "builder",
    description: "pod: what makes actions with a Dockerfile",
    fallback: "auto: buildkit or buildah, if its options are set, else inline, which needs nothing"
  },
  ["auto", "inline", "buildah", "buildkit", "off"]
)

export const builderOptions = Setting.pairs({
  name: "builder-option",
  metavar: "NAME=VALUE",
  description: "pod: option of a builder, as in docs/dockerfile-actions.md; may be repeated"
})
