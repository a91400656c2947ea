/** Files of a container step through the claim: its own are a directory there, and everything else is there already. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { BackendError, StorageFailed } from "../../../domain/JobError.ts"
import type { ContainerStep } from "../../../domain/Step.ts"
import type { LateFiles } from "./builtStep.ts"
import { stateDirectoryOf } from "./channels.ts"
import { type MountPlan, workVolume } from "./mountPlan.ts"
import { filesDirectory, type Setting, type StepFiles, temporary, variablesOf } from "./stepFiles.ts"
import { unguessable } from "./unguessable.ts"

export const claimedStepFiles = Effect.fnUntraced(function* (
  { identity, plan }: Setting & { readonly plan: MountPlan },
  sharing: Extract<Setting["sharing"], { readonly _tag: "Claim" }>,
  step: ContainerStep
) {
  const directory = Path.join(stateDirectoryOf(sharing), identity.environment, yield* unguessable)
  if (step.files.length > 0) {
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        Fs.mkdirSync(directory, { recursive: true })
        Fs.chmodSync(directory, 0o777)
        for (const { content, name } of step.files) {
          Fs.writeFileSync(Path.join(directory, name), content)
          Fs.chmodSync(Path.join(directory, name), 0o666)
        }
      }),
      () => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
    )
  }
  yield* Effect.sync(() => {
    for (const mount of step.mounts) {
      const planned = plan.resolve(mount)
      if ("local" in planned && planned.local !== undefined) Fs.mkdirSync(planned.local, { recursive: true })
    }
  })
  const asked: Array<{ readonly directory: string; readonly late: LateFiles }> = []
  const subPathOf = (path: string) => Path.posix.join(sharing.subPath ?? "", Path.relative(sharing.root, path))
  const files: StepFiles = {
    env: variablesOf(step),
    mounts:
      step.files.length === 0 ? [] : [{ name: workVolume, mountPath: filesDirectory, subPath: subPathOf(directory) }],
    targets: step.files.length === 0 ? [] : [filesDirectory],
    share: Effect.fnUntraced(function* (_, mountPath, write, late) {
      const own = yield* temporary(Path.join(stateDirectoryOf(sharing), identity.environment))
      yield* write(own)
      if (late !== undefined) {
        asked.push({ directory: own, late })
        for (const { path } of late.files) {
          Fs.writeFileSync(Path.join(own, path), "", { flag: "wx" })
          Fs.chmodSync(Path.join(own, path), 0o644)
        }
      }
      return { mount: { name: workVolume, mountPath, subPath: subPathOf(own) }, volumes: [] }
    }),
    volumes: [],
    before: [],
    beside: [],
    bring: () => Effect.void,
    handOver: Effect.suspend(() =>
      Effect.forEach(asked, ({ directory, late }) => writeLate(directory, late), { discard: true })
    ),
    fetch: Effect.void,
    collected: Effect.sync(() => readCollected(step, directory))
  }
  return files
})

/** Whether a container has asked is seen on the volume only. */
const writeLate = (directory: string, { asked, files, given }: LateFiles): Effect.Effect<void, BackendError> => {
  const attempt = <A>(body: () => A) =>
    Effect.try({
      try: body,
      catch: (cause) =>
        new BackendError({
          reason: new StorageFailed({
            operation: "handing over the step's variables",
            detail: cause instanceof Error ? cause.message : String(cause),
            transient: false
          })
        })
    })
  const { O_RDONLY, O_WRONLY } = Fs.constants
  const isAsked = attempt(() => withOpened(directory, asked, O_RDONLY, (opened) => Fs.fstatSync(opened).size > 0))
  return isAsked.pipe(
    Effect.tap((yes) => (yes ? Effect.void : Effect.sleep("25 millis"))),
    Effect.repeat({ until: (yes) => yes }),
    Effect.andThen(
      attempt(() => {
        for (const { path, text } of [...files, { path: given, text: "1\n" }]) {
          withOpened(directory, path, O_WRONLY, (opened) => Fs.writeFileSync(opened, text))
        }
      })
    )
  )
}

/**
 * A file that is there. Whoever runs in the container may have put a link, or something that is waited for, in its place or in that of its
 * directory: neither is followed, and nothing but a file is opened.
 */
const withOpened = <A>(root: string, path: string, flags: number, use: (opened: number) => A): A => {
  const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants
  const parent = Path.join(root, Path.dirname(path))
  const directory = Fs.openSync(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    const inside = Fs.existsSync("/proc/self/fd") ? `/proc/self/fd/${directory}` : parent
    const opened = Fs.openSync(Path.join(inside, Path.basename(path)), flags | O_NOFOLLOW | O_NONBLOCK)
    try {
      if (!Fs.fstatSync(opened).isFile()) throw new Error(`${path} is no file any more`)
      return use(opened)
    } finally {
      Fs.closeSync(opened)
    }
  } finally {
    Fs.closeSync(directory)
  }
}

const readCollected = (step: ContainerStep, directory: string): ReadonlyMap<string, string> =>
  new Map(
    step.files.flatMap(({ collect, name }) => {
      const file = Path.join(directory, name)
      return collect && Fs.existsSync(file) ? [[name, Fs.readFileSync(file, "utf8")] as const] : []
    })
  )
