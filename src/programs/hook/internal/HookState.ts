/**
 * What one call of the hook leaves for the next, by way of the runner: `jobPod`, as GitHub's own hooks do, and a part of our own with a
 * version, because the hook's file may be replaced in the middle of a job.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as EnvironmentHandle from "../../../domain/EnvironmentHandle.ts"
import { type BackendError, fail, HandleRejected } from "../../../domain/JobError.ts"
import { Listener } from "./Forwarder.ts"
import { RunnerFacts } from "./RunnerPod.ts"

/** A prepared job. */
export interface HookState {
  readonly handle: EnvironmentHandle.EnvironmentHandle
  readonly runner: RunnerFacts
  /** The process that makes services known on the runner, for jobs without a container. */
  readonly listener?: typeof Listener.Type
}

/** What `prepare_job` answers with. */
export const encode = ({ handle, ...rest }: HookState) => ({
  jobPod: handle.environment,
  jobscope: { version: 1, handle: EnvironmentHandle.encode(handle), ...rest }
})

/** The job that was prepared; one that another hook has prepared cannot be gone on with, and that is said. */
export const decode = Effect.fnUntraced(function* (state: unknown): Effect.fn.Return<HookState, BackendError> {
  const own = property(state, "jobscope")
  if (own === undefined) {
    const pod = property(state, "jobPod")
    return yield* rejected(
      typeof pod === "string"
        ? `another container hook has prepared this job (pod ${pod}); one hook must do all of a job, so run the job again`
        : "the runner did not hand over what `prepare_job` answered"
    )
  }
  const version = property(own, "version")
  if (version !== 1) {
    return yield* rejected(
      `another version of this hook has prepared this job (state version ${String(version).slice(0, 10)})`
    )
  }
  const handle = yield* EnvironmentHandle.decode(property(own, "handle"))
  const rest = yield* Effect.catch(Schema.decodeUnknownEffect(Rest)(own), (error) => rejected(error.message))
  return { handle, ...rest }
})

const Rest = Schema.Struct({ runner: RunnerFacts, listener: Schema.optionalKey(Listener) })

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined

const rejected = (detail: string) => fail(new HandleRejected({ detail }))
