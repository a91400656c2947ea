/** Events as a backend's job gives them, with times of our own. */
import { BackendError, EnvironmentLost, type Reason, ReleaseFailed } from "jobscope/domain/JobError"
import type { JobEvent } from "jobscope/domain/JobEvent"
import { type Conclusion, JobResult, StepResult } from "jobscope/domain/JobResult"
import { OwnedResource } from "jobscope/domain/OwnedResource"

export const epoch = Date.UTC(2026, 10, 5, 12, 0, 0)

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const stepResult = (
  id: string,
  name: string,
  outcome: Conclusion,
  more: Partial<ConstructorParameters<typeof StepResult>[0]> = {}
): StepResult =>
  new StepResult({
    id,
    name,
    outcome,
    conclusion: outcome,
    outputs: {},
    tail: [],
    startedAt: epoch,
    duration: 1200,
    ...(outcome === "success" ? { exitCode: 0 } : outcome === "failure" ? { exitCode: 3 } : {}),
    ...more
  })

export const jobResult = (
  job: string,
  conclusion: Conclusion,
  more: Partial<ConstructorParameters<typeof JobResult>[0]> = {}
): JobResult => new JobResult({ job, conclusion, steps: [], leaks: [], startedAt: epoch, duration: 3400, ...more })

export const errorOf = (reason: Reason): BackendError => new BackendError({ reason })

export const lost = errorOf(new EnvironmentLost({ cause: "OOMKilled", detail: "the node took it back" }))

export const leak = errorOf(
  new ReleaseFailed({
    environment: "build-1",
    left: [
      new OwnedResource({
        backend: "fake",
        kind: "Pod",
        name: "build-1-pod",
        environment: "build-1",
        owner: "jobscope",
        custody: "held",
        createdAt: epoch
      })
    ],
    detail: "the API does not answer",
    removal: "kubectl delete pod build-1-pod"
  })
)

/** Events without times; where they name no run, there is one for each name of a job. */
export type Untimed = JobEvent extends infer Event
  ? Event extends JobEvent
    ? Omit<Event, "at" | "run"> & { readonly run?: string }
    : never
  : never

/** Each one happens 100 ms after the one before it. */
export const timed = (events: ReadonlyArray<Untimed>): ReadonlyArray<JobEvent> =>
  events.map((event, index) => ({ run: event.job, ...event, at: epoch + index * 100 }) as JobEvent)

/** The same events, of another run. */
export const ofRun = (run: string, events: ReadonlyArray<Untimed>): ReadonlyArray<Untimed> =>
  events.map((event) => ({ ...event, run }))

/** The first of all, then the second of all, and so on. */
export const inTurns = <A>(all: ReadonlyArray<ReadonlyArray<A>>): ReadonlyArray<A> =>
  Array.from({ length: Math.max(...all.map(({ length }) => length)) }, (_, turn) =>
    all.flatMap((own) => own.slice(turn, turn + 1))
  ).flat()

export const out = (job: string, step: string, text: string | Uint8Array, stream: "stdout" | "stderr" = "stdout") =>
  ({ _tag: "StepOutput", job, step, stream, bytes: typeof text === "string" ? bytes(text) : text }) as const

/** Everything that can happen, once. */
export const everything: ReadonlyArray<JobEvent> = timed([
  { _tag: "JobStarted", job: "build", backend: "fake", steps: 4 },
  { _tag: "PhaseStarted", job: "build", phase: "provision" },
  { _tag: "EnvironmentRequested", job: "build", environment: "build-1", removal: "fake remove build-1" },
  { _tag: "Waiting", job: "build", phase: "provision", reason: "a node" },
  { _tag: "Waiting", job: "build", phase: "provision", reason: "a node" },
  { _tag: "Waiting", job: "build", phase: "provision", reason: "the image alpine" },
  { _tag: "Retrying", job: "build", what: "provision", attempt: 2, of: 3, error: lost },
  { _tag: "EnvironmentReady", job: "build", environment: "build-1" },
  { _tag: "JobStarted", job: "deploy to staging", backend: "fake", steps: 1 },
  { _tag: "PhaseStarted", job: "build", phase: "steps" },
  { _tag: "StepStarted", job: "build", step: "deps", name: "Install the dependencies", command: "npm ci" },
  out("build", "deps", "added 132 "),
  out("build", "deps", "npm warn old\n", "stderr"),
  out("build", "deps", "packages\nno end"),
  {
    _tag: "StepFinished",
    job: "build",
    step: "deps",
    result: stepResult("deps", "Install the dependencies", "success")
  },
  { _tag: "StepStarted", job: "build", step: "step-2", name: "npm test", command: "npm test" },
  out("build", "step-2", "\u001b[31mred\u001b[0m\r\n\n"),
  { _tag: "StepFinished", job: "build", step: "step-2", result: stepResult("step-2", "npm test", "failure") },
  {
    _tag: "StepFinished",
    job: "build",
    step: "lint",
    result: stepResult("lint", "Lint", "failure", { conclusion: "success" })
  },
  { _tag: "StepFinished", job: "build", step: "step-4", result: stepResult("step-4", "publish", "skipped") },
  { _tag: "Warning", job: "build", message: "the disk is\nnearly full" },
  { _tag: "Stopping", job: "build", why: "cancelled" },
  { _tag: "StepFinished", job: "build", step: "e2e", result: stepResult("e2e", "End to end", "cancelled") },
  { _tag: "StepFinished", job: "build", step: "slow", result: stepResult("slow", "Slow", "timeout") },
  { _tag: "StepFinished", job: "build", step: "gone", result: stepResult("gone", "Gone", "error", { error: lost }) },
  { _tag: "PhaseStarted", job: "build", phase: "release" },
  { _tag: "Leaked", job: "build", environment: "build-1", error: leak },
  { _tag: "JobFinished", job: "build", result: jobResult("build", "failure") },
  { _tag: "EnvironmentReleased", job: "deploy to staging", environment: "deploy-2" },
  { _tag: "JobFinished", job: "deploy to staging", result: jobResult("deploy to staging", "error", { error: lost }) }
])
