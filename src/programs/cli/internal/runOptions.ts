/**
 * What decides how a workflow is run, from the settings of `run` and `plan`.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import type * as RunOptions from "../../github/RunOptions.ts"
import type * as WorkflowFile from "../../github/WorkflowFile.ts"
import type * as Setting from "../Setting.ts"
import * as settings from "../settings.ts"
import * as Variables from "./variables.ts"

/** The settings that it is made of. */
export const runSettings = {
  job: settings.job,
  needs: settings.needs,
  matrix: settings.matrix,
  env: settings.env,
  envFile: settings.envFile,
  secret: settings.secret,
  secretFile: settings.secretFile,
  variable: settings.variable,
  input: settings.input,
  event: settings.event,
  eventName: settings.eventName,
  workspace: settings.workspace,
  actions: settings.actions,
  inPlace: settings.inPlace,
  parallel: settings.parallel,
  image: settings.image,
  debug: settings.debug
}

/** @category models */
export type Values = Setting.Values<typeof runSettings>

/** @category constructors */
export const runOptions = Effect.fnUntraced(function* (
  values: Values,
  file: WorkflowFile.WorkflowFile
): Effect.fn.Return<
  RunOptions.Options & { readonly secrets: Variables.Variables },
  BackendError,
  FileSystem.FileSystem
> {
  const inputs = yield* Effect.forEach(values.input, ([name, value]) =>
    value === undefined
      ? fail(new InvalidInput({ input: `--input ${name}`, detail: "it has no value" }))
      : Effect.succeed([name, value] as const)
  )
  return {
    jobs: values.job.length === 0 ? undefined : values.job,
    needs: values.needs,
    matrix: yield* matrixOf(values.matrix),
    event: yield* eventOf(values, file),
    inputs: Object.fromEntries(inputs),
    vars: yield* plain({ flag: "--var", files: [], pairs: values.variable }),
    env: yield* plain({ flag: "--env", files: values.envFile, pairs: values.env }),
    secrets: yield* Variables.read({ flag: "--secret", files: values.secretFile, pairs: values.secret }),
    workspace: values.inPlace ? "in-place" : "copy",
    parallel: values.parallel,
    // A label has no say in what is alone.
    images: Object.fromEntries(values.image.map(([key, image]) => (image === undefined ? ["*", key] : [key, image]))),
    debug: values.debug
  }
})

const plain = (sources: Variables.Sources) =>
  Effect.map(Variables.read(sources), (found) =>
    Object.fromEntries(Object.entries(found).map(([name, value]) => [name, Redacted.value(value)]))
  )

const matrixOf = Effect.fnUntraced(function* (pairs: ReadonlyArray<string>) {
  const found = new Map<string, Array<string>>()
  for (const pair of pairs) {
    const at = pair.indexOf(":")
    if (at < 1) {
      return yield* fail(new InvalidInput({ input: "--matrix", detail: `expected KEY:VALUE, not "${pair}"` }))
    }
    const key = pair.slice(0, at)
    found.set(key, [...(found.get(key) ?? []), pair.slice(at + 1)])
  }
  return found.size === 0 ? undefined : Object.fromEntries(found)
})

/** With a payload or a name alone, the other is what it would be without. */
const eventOf = Effect.fnUntraced(function* ({ event, eventName, input }: Values, file: WorkflowFile.WorkflowFile) {
  if (event === undefined && eventName === undefined) return undefined
  const events = file.syntax.on.map(({ name }) => name)
  const usual = input.length > 0 ? "workflow_dispatch" : (events[0] ?? "push")
  const found: RunOptions.Event = {
    name: eventName ?? usual,
    payload: event === undefined ? {} : yield* payloadOf(event)
  }
  return found
})

const payloadOf = Effect.fnUntraced(function* (path: string) {
  const refuse = (detail: string) =>
    new BackendError({ reason: new InvalidInput({ input: `--event ${path}`, detail }) })
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(fs.readFileString(path), (error) =>
    refuse(error.reason._tag === "NotFound" ? "there is no such file" : `it cannot be read (${error.reason._tag})`)
  )
  const payload = yield* Effect.mapError(Schema.decodeEffect(Schema.fromJsonString(Payload))(text), () =>
    refuse("expected a JSON object")
  )
  return payload
})

const Payload = Schema.Record(Schema.String, Schema.Json)
