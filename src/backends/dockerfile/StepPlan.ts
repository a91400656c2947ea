/**
 * What a builder asks of a backend that runs containers: which image, what beside it, which files, and what to start.
 *
 * **Details**
 *
 * One shape for all builders, so that mounts, log, cancel, exit code and file commands stay the container step's own. The step's variables
 * are handed over by `enter`, as a file that only the entry point's shell reads; where lines of the Dockerfile run beside it, it comes after
 * the last of them has ended (`handOver`).
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as JobError from "../../domain/JobError.ts"
import type { BuildContext, Entry } from "./BuildContext.ts"
import type { At, Refusal } from "./Refusal.ts"

/**
 * A file of the plan, relative to where the containers see them.
 *
 * @category models
 */
export interface PlanFile {
  readonly path: string
  readonly mode: number
  readonly content:
    | { readonly _tag: "Text"; readonly text: string }
    | { readonly _tag: "Directory" }
    /** Out of the context. */
    | { readonly _tag: "Entry"; readonly entry: Entry; readonly at: At }
}

/**
 * A part of a container's security context.
 *
 * @category models
 */
export interface Security {
  readonly runAsUser?: number
  readonly runAsGroup?: number
  readonly runAsNonRoot?: boolean
  readonly allowPrivilegeEscalation?: boolean
  readonly capabilities?: { readonly drop: ReadonlyArray<string>; readonly add: ReadonlyArray<string> }
  /** Left out, the pod's. */
  readonly seccompProfile?:
    | { readonly type: "Unconfined" }
    | { readonly type: "Localhost"; readonly localhostProfile: string }
}

/** @category models */
export interface PlanContainer {
  readonly name: string
  readonly image: string
  readonly command: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly security: Security
}

/**
 * A volume that all containers of the plan mount, at the same path.
 *
 * @category models
 */
export interface PlanVolume {
  readonly name: string
  readonly path: string
  readonly from: /** The plan's files. They are there before any container but those of `before` starts. */
    | { readonly _tag: "Files" }
    | { readonly _tag: "Empty" }
    | { readonly _tag: "Claim"; readonly claim: string; readonly subPath?: string }
    | { readonly _tag: "Secret"; readonly secret: string }
}

/** @category models */
export interface StepPlan {
  readonly builder: "inline" | "buildah" | "buildkit"
  /** Of the step's own container. */
  readonly image: string
  /** What it starts. None: the image's own entry point, or what the step names, as for any container step. */
  readonly command: ReadonlyArray<string> | undefined
  readonly env: Readonly<Record<string, string>>
  readonly security: Security
  /** They run to their end one after the other, before the others start. */
  readonly before: ReadonlyArray<PlanContainer>
  /**
   * They start with the step's own. What they write comes before what that writes, in this order. One that ends with another code than
   * 0 ends the step with it.
   */
  readonly beside: ReadonlyArray<PlanContainer>
  readonly volumes: ReadonlyArray<PlanVolume>
  readonly files: ReadonlyArray<PlanFile>
  /** Files that hand over the step's variables and its directory; those variables are then not the container's. */
  readonly enter: (step: Entering) => ReadonlyArray<PlanFile>
  /** None: the files of `enter` are written with the others. */
  readonly handOver?: HandOver | undefined
}

/**
 * Two of the plan's files, empty at first: the step's container writes a line into `asked` when nothing of the Dockerfile runs any more. Only then
 * are the files of `enter` written, and after them a line into `given`.
 *
 * **Details**
 *
 * Their content tells, not whether they are there: network file systems remember for half a minute that a file is not there, and look again
 * at what one opens.
 *
 * @category models
 */
export interface HandOver {
  readonly asked: string
  readonly given: string
}

/** @category models */
export interface Entering {
  readonly env: Readonly<Record<string, string>>
  /** Left out, the image's. */
  readonly workingDirectory?: string | undefined
  /** Where the step's container has mounts: those that run an image in the container mount them once more. */
  readonly mounts?: ReadonlyArray<string> | undefined
}

/**
 * Writes files of a plan into a directory of this machine, which is empty or not there.
 *
 * @category combinators
 */
export const write = Effect.fnUntraced(function* (
  files: ReadonlyArray<PlanFile>,
  directory: string,
  context: BuildContext
): Effect.fn.Return<void, JobError.BackendError> {
  yield* attempt(() => {
    Fs.mkdirSync(directory, { recursive: true })
    // Whoever the image runs as must read them.
    Fs.chmodSync(directory, 0o755)
  })
  for (const { content, mode, path } of files) {
    const target = Path.join(directory, ...path.split("/"))
    yield* attempt(() => Fs.mkdirSync(Path.dirname(target), { recursive: true }))
    switch (content._tag) {
      case "Directory":
        yield* attempt(() => Fs.mkdirSync(target, { recursive: true }))
        break
      case "Text":
        yield* attempt(() => {
          Fs.writeFileSync(target, content.text, { flag: "wx", mode })
          Fs.chmodSync(target, mode)
        })
        break
      case "Entry":
        yield* Effect.mapError(context.write({ ...content.entry, mode }, target, content.at), toBackendError)
    }
  }
  // At last, or nothing could be written into one that is read-only.
  for (const { content, mode, path } of files) {
    const isDirectory = content._tag === "Directory" || (content._tag === "Entry" && content.entry.kind === "directory")
    if (isDirectory) yield* attempt(() => Fs.chmodSync(Path.join(directory, ...path.split("/")), mode))
  }
})

const attempt = (body: () => unknown): Effect.Effect<void, JobError.BackendError> =>
  Effect.try({
    try: body,
    catch: (cause) =>
      new JobError.BackendError({
        reason: new JobError.StorageFailed({
          operation: "writing the files of a build",
          detail: cause instanceof Error ? cause.message : String(cause),
          transient: false
        })
      })
  }).pipe(Effect.asVoid)

/**
 * A refusal in the words of a backend's errors.
 *
 * @category conversions
 */
export const toBackendError = (refusal: Refusal): JobError.BackendError =>
  new JobError.BackendError({
    reason: new JobError.DockerfileRefused({ detail: refusal.message, hint: refusal.advice })
  })
