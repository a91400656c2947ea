/**
 * What the Actions runner writes to a hook's stdin: one JSON document. Runners of all versions are understood: nulls count as left out
 * wherever they are, unknown fields do not matter.
 *
 * A failure names the field, never its value: most of what is in here may be a secret.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { EnvVars } from "../../../domain/EnvVars.ts"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"

const orElse = <S extends Schema.Constraint & Schema.WithoutConstructorDefault>(schema: S, value: S["Type"]) =>
  Schema.withDecodingDefaultTypeKey<S>(Effect.succeed(value))(schema)
const text = Schema.optionalKey(Schema.String)
const texts = orElse(Schema.Array(Schema.String), [])
const env = orElse(EnvVars, {})

const HookMount = Schema.Struct({
  /** A path, the name of a volume, or nothing for a volume of its own. */
  sourceVolumePath: text,
  targetVolumePath: Schema.NonEmptyString,
  readOnly: orElse(Schema.Boolean, false)
})

/** A volume of a container. */
export type HookMount = typeof HookMount.Type

const mounts = orElse(Schema.Array(HookMount), [])

const Registry = Schema.Struct({
  username: text,
  password: Schema.optionalKey(Schema.RedactedFromValue(Schema.String)),
  serverUrl: text
})

const container = {
  image: text,
  dockerfile: text,
  entryPoint: text,
  entryPointArgs: texts,
  workingDirectory: text,
  createOptions: text,
  registry: Schema.optionalKey(Registry),
  environmentVariables: env,
  portMappings: texts,
  systemMountVolumes: mounts,
  userMountVolumes: mounts
}

const HookContainer = Schema.Struct(container)

/** The job's container, a service, or the container of a step. */
export type HookContainer = typeof HookContainer.Type

const PrepareJob = Schema.Struct({
  container: Schema.optionalKey(HookContainer),
  services: orElse(Schema.Array(HookContainer), [])
})

const RunScriptStep = Schema.Struct({
  entryPoint: Schema.NonEmptyString,
  entryPointArgs: texts,
  environmentVariables: env,
  /** Newest first. One text with colons from runners up to 2.293. */
  prependPath: orElse(Schema.Union([Schema.String, Schema.Array(Schema.String)]), []),
  workingDirectory: text
})

/** What a script step is. */
export type RunScriptStep = Omit<typeof RunScriptStep.Type, "prependPath"> & {
  readonly prependPath: ReadonlyArray<string>
}

const Envelope = Schema.Struct({
  command: Schema.String,
  args: orElse(Schema.Record(Schema.String, Schema.Unknown), {}),
  responseFile: text
})

/** One call of the hook. */
export type HookInput = {
  /** Where the answer goes; old runners may ask for none. */
  readonly responseFile: string | undefined
  /** What this job's last command answered, whoever wrote it. */
  readonly state: unknown
} & (
  | { readonly command: "prepare_job"; readonly args: typeof PrepareJob.Type }
  | { readonly command: "run_script_step"; readonly args: RunScriptStep }
  | { readonly command: "run_container_step"; readonly args: HookContainer }
  | { readonly command: "cleanup_job" }
)

/** Reads all that was on stdin. */
export const parse = Effect.fnUntraced(function* (stdin: string): Effect.fn.Return<HookInput, BackendError> {
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(stdin.replace(/^\uFEFF/, "")),
    catch: () => undefined
  }).pipe(
    Effect.catch(() => {
      const detail = stdin.trim() === "" ? "nothing is there" : `it is not JSON (${stdin.length} characters)`
      return invalid("stdin", `${detail}; it is for the Actions runner to call this program`)
    })
  )
  const envelope = yield* decode(Envelope, withoutNulls(json), "")
  const { command, responseFile } = envelope
  const common = {
    responseFile: responseFile === "" ? undefined : responseFile,
    state: typeof json === "object" && json !== null && "state" in json ? json.state : undefined
  }
  switch (command) {
    case "prepare_job":
      return { ...common, command, args: yield* decode(PrepareJob, envelope.args, "args.") }
    case "run_script_step": {
      const args = yield* decode(RunScriptStep, envelope.args, "args.")
      const { prependPath } = args
      const directories = typeof prependPath === "string" ? prependPath.split(":") : prependPath
      return { ...common, command, args: { ...args, prependPath: directories.filter((path) => path !== "") } }
    }
    case "run_container_step":
      return { ...common, command, args: yield* decode(HookContainer, envelope.args, "args.") }
    case "cleanup_job":
      return { ...common, command }
    default:
      return yield* invalid("command", `"${command.slice(0, 40)}" is not known here`)
  }
})

const invalid = (input: string, detail: string) => fail(new InvalidInput({ input, detail }))

const decode = <S extends Schema.ConstraintDecoder<unknown>>(schema: S, value: unknown, prefix: string) => {
  const decoded = Schema.decodeUnknownResult(schema)(value)
  if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success)
  const [issue] = formatter(decoded.failure.issue).issues
  const path = (issue?.path ?? []).map((key) => String(typeof key === "object" ? key.key : key)).join(".")
  return invalid(path === "" ? "stdin" : `${prefix}${path}`, (issue?.message ?? "").replace(/^E/, "e"))
}

const formatter = SchemaIssue.makeFormatterStandardSchemaV1()

/** Variables without a value are empty ones; everything else that is null is left out. */
const withoutNulls = (value: unknown, key?: string): unknown => {
  if (Array.isArray(value)) return value.filter((item) => item !== null).map((item) => withoutNulls(item))
  if (typeof value !== "object" || value === null) return value
  const entries: ReadonlyArray<[string, unknown]> = Object.entries(value)
  return key === "environmentVariables"
    ? Object.fromEntries(entries.map(([name, content]) => [name, content ?? ""]))
    : Object.fromEntries(
        entries.filter(([, content]) => content !== null).map(([name, content]) => [name, withoutNulls(content, name)])
      )
}
