/**
 * A backend of one's own: every job in a directory under /tmp, steps by `effect/process`. It passes the contract suite. It is small
 * because a driver only makes and removes things: scopes, deadlines, loss and refusals come with `JobBackend.fromDriver`.
 */
import { NodeServices } from "@effect/platform-node"
import { Cause, Clock, Deferred, Effect, Exit, FileSystem, Layer, type PlatformError, Scope, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import type { BackendDriver, Job, JobEnvironment, Step } from "jobscope"
import { Capabilities, JobBackend, JobError, OwnedResource, StepCommand } from "jobscope"

type Open = { readonly resource: OwnedResource.OwnedResource; readonly end: Effect.Effect<void> }

const gone = new JobError.BackendError({
  reason: new JobError.EnvironmentLost({ cause: "Deleted", detail: "released" })
})
const typed = Effect.mapError((error: PlatformError.PlatformError | JobError.BackendError) =>
  error._tag === "BackendError"
    ? error
    : new JobError.BackendError({ reason: new JobError.StepStartFailed({ detail: error.message, transient: false }) })
)

const make = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const open = new Map<string, Open>()
  const select = (selector?: OwnedResource.Selector) =>
    [...open.values()].filter(({ resource }) => OwnedResource.matches(resource, selector))

  const create = Effect.fnUntraced(function* (spec: Job.JobSpec, environment: string) {
    const scope = yield* Scope.make()
    const lost = yield* Deferred.make<JobEnvironment.Completion, JobError.BackendError>()
    const { owner } = spec
    const about = { backend: "tmp", kind: "Directory", name: environment, environment, owner, custody: "held" } as const
    const resource = new OwnedResource.OwnedResource({ ...about, createdAt: yield* Clock.currentTimeMillis })
    open.set(environment, { resource, end: Effect.andThen(Deferred.fail(lost, gone), Scope.close(scope, Exit.void)) })
    const directory = yield* Scope.provide(fs.makeTempDirectoryScoped({ prefix: environment }), scope)
    const workspace = `${directory}/workspace`
    yield* fs.makeDirectory(workspace)

    const start = Effect.fnUntraced(function* (step: Step.Step) {
      if (step._tag !== "ScriptStep") return yield* Effect.die("refused before, by the capabilities")
      if (Deferred.isDoneUnsafe(lost)) return yield* gone
      const { stopGrace: forceKillAfter } = spec.timeouts
      const own = yield* fs.makeTempDirectory({ directory })
      const pathOf = (name: string) => `${own}/${name}`
      for (const { content, name } of [{ name: ".script", content: step.script }, ...step.files]) {
        yield* fs.writeFileString(pathOf(name), content)
      }
      // The outer shell, which signals pass by, tells a death by signal as 128 + n.
      const line = `trap : INT TERM; (trap - INT TERM; exec ${StepCommand.commandLine(step, pathOf(".script"))}); exit $?`
      const command = ChildProcess.make("sh", ["-c", line], {
        cwd: StepCommand.workingDirectory(spec, step, workspace),
        env: StepCommand.variables(spec, step, { PATH: process.env.PATH ?? "" }, pathOf),
        stdin: "ignore",
        forceKillAfter
      })
      // In the environment's scope: what the step leaves in the background lives as long.
      const child = yield* Scope.provide(spawner.spawn(command), scope)
      const exit = yield* Deferred.make<number, JobError.BackendError>()
      const settle = (code: Exit.Exit<number, unknown>): Effect.Effect<unknown> =>
        Deferred.done(
          exit,
          Deferred.isDoneUnsafe(lost) ? Exit.fail(gone) : Exit.succeed(Exit.isSuccess(code) ? code.value : 137)
        )
      yield* Effect.forkIn(Effect.onExit(child.exitCode, settle), scope)
      const stop = Effect.ignore(child.kill({ forceKillAfter }))
      yield* Effect.addFinalizer(() => (Deferred.isDoneUnsafe(exit) ? Effect.void : stop))

      const chunks = (stream: "stdout" | "stderr") => Stream.map(child[stream], (bytes) => ({ stream, bytes }))
      const output = Stream.mapError(Stream.merge(chunks("stdout"), chunks("stderr")), () => gone)
      // Whoever still holds the pipes then is not the step.
      const drained = Effect.andThen(Effect.exit(Deferred.await(exit)), Effect.delay(Cause.done(), "250 millis"))
      const files = step.files.filter((file) => file.collect)
      const read = ({ name }: Step.StepFile) =>
        Effect.map(fs.readFileString(pathOf(name)), (text) => [name, text] as const)
      return {
        output: Stream.transformPull(output, (pull) => Effect.succeed(Effect.raceFirst(pull, drained))),
        exitCode: Deferred.await(exit),
        signal: (killSignal) => Effect.asVoid(Effect.forkIn(Effect.ignore(child.kill({ killSignal })), scope)),
        files: typed(Effect.map(Effect.forEach(files, read), (entries) => new Map(entries)))
      } satisfies JobEnvironment.RunningStep
    })
    const facts = { os: process.platform, arch: process.arch, libc: "unknown", workspace, services: [] } as const
    return { facts, data: null, completion: Deferred.await(lost), start: (step: Step.Step) => typed(start(step)) }
  })

  const driver: BackendDriver.BackendDriver = {
    name: "tmp",
    capabilities: Capabilities.minimal,
    create: (spec, name) => typed(create(spec, name)),
    destroy: (selector) =>
      Effect.forEach(select(selector), ({ end, resource }) => Effect.map(end, () => open.delete(resource.name))),
    list: (selector) => Stream.suspend(() => Stream.fromIterable(select(selector).map(({ resource }) => resource))),
    removalCommand: (environment) => `rm -rf /tmp/${environment}*`
  }
  return JobBackend.fromDriver(driver)
})

export const layer = Layer.effect(JobBackend.JobBackend, make).pipe(Layer.provide(NodeServices.layer))
