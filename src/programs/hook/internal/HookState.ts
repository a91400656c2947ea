/**
 * What one call of the hook leaves for the next, by way of the runner: `jobPod`, as GitHub's own hooks do, and a part of our own with a
 * version, because the hook's file may be replaced in the middle of a job.
 */
import * as Effect from "effect/Effect"
import * as EnvironmentHandle from "../../../domain/EnvironmentHandle.ts"
import { type BackendError, fail, HandleRejected } from "../../../domain/JobError.ts"

/** What `prepare_job` answers with. */
export const encode = (jobPod: string, handle: EnvironmentHandle.EnvironmentHandle) => ({
  jobPod,
  jobscope: { version: 1, handle: EnvironmentHandle.encode(handle) }
})

/** The environment of this job; what another hook has prepared cannot be gone on with, and says so. */
export const decode = (state: unknown): Effect.Effect<EnvironmentHandle.EnvironmentHandle, BackendError> => {
  const own = property(state, "jobscope")
  if (own === undefined) {
    const pod = property(state, "jobPod")
    return rejected(
      typeof pod === "string"
        ? `another container hook has prepared this job (pod ${pod}); one hook must do all of a job, so run the job again`
        : "the runner did not hand over what `prepare_job` answered"
    )
  }
  const version = property(own, "version")
  return version === 1
    ? EnvironmentHandle.decode(property(own, "handle"))
    : rejected(`another version of this hook has prepared this job (state version ${String(version).slice(0, 10)})`)
}

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined

const rejected = (detail: string) => Effect.suspend(() => fail(new HandleRejected({ detail })))
