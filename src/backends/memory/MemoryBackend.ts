/**
 * A scripted backend for tests: nothing runs, everything is recorded, and each step, provision and release ends as its program says.
 *
 * **When to use**
 *
 * Use it to test programs that embed jobscope: time-outs, cancels, losses and leaks without waiting and without a machine. All time is
 * the `Clock`'s, so `TestClock` drives it.
 *
 * **Details**
 *
 * It is strict. A step value that is started again while it still runs, an environment that is used after its scope was closed, and one
 * that is neither released nor handed over when the backend's layer closes, are defects (`ProtocolViolation`).
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { type BackendDriver, type DriverEnvironment, destroyEach } from "../../domain/BackendDriver.ts"
import type { Capabilities } from "../../domain/Capabilities.ts"
import type { JobSpec } from "../../domain/Job.ts"
import { fromDriver, JobBackend, ProtocolViolation } from "../../domain/JobBackend.ts"
import type { Completion, RunningStep } from "../../domain/JobEnvironment.ts"
import { BackendError, Conflict, EnvironmentLost, fail } from "../../domain/JobError.ts"
import { matches, OwnedResource } from "../../domain/OwnedResource.ts"
import type { Step } from "../../domain/Step.ts"
import { emptyEnvironment, type MemoryEnvironment } from "./internal/memoryEnvironment.ts"
import { startProcess, workspacePath } from "./internal/memoryProcess.ts"
import { type EnvironmentProgram, ofLabels, ofStep, type StepProgram } from "./MemoryProgram.ts"
import * as MemoryWorld from "./MemoryWorld.ts"

/** @category options */
export interface Options {
  /** What a step does; `undefined` leaves it to the program that the step carries. */
  readonly step?: ((step: Step, spec: JobSpec) => StepProgram | undefined) | undefined
  /** What an environment does; `undefined` leaves it to the program that the job carries. */
  readonly environment?: ((spec: JobSpec) => EnvironmentProgram | undefined) | undefined
  /** Instead of everything, to play a backend that lacks something. */
  readonly capabilities?: Partial<Capabilities> | undefined
}

/** @category options */
export const capabilities: Capabilities = {
  hostJobs: true,
  hostScripts: true,
  containerJobs: true,
  containerSteps: true,
  dockerfileSteps: true,
  serviceImages: true,
  serviceCommands: true,
  workspaces: ["in-place", "copy"],
  volumes: true,
  handOver: true,
  runToCompletion: true
}

/**
 * The backend of one process in a world.
 *
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const world = yield* MemoryWorld.MemoryWorld
  const mine = new Set<MemoryEnvironment>()
  yield* Effect.addFinalizer(() => {
    const forgotten = [...mine].filter(
      ({ custody, name, releaseTried }) => custody === "held" && !releaseTried && world.environments.has(name)
    )
    return forgotten.length === 0
      ? Effect.void
      : Effect.die(
          new ProtocolViolation({
            message: `never released and never handed over: ${forgotten.map(({ name }) => name).join(", ")}`
          })
        )
  })
  const programOf = (spec: JobSpec) => options.environment?.(spec) ?? ofLabels(spec.labels)

  const create = Effect.fnUntraced(function* (spec: JobSpec, name: string) {
    const program = programOf(spec)
    if (world.environments.has(name)) {
      return yield* fail(new Conflict({ resource: `environment ${name}`, detail: "it exists already" }))
    }
    yield* world.record({ _tag: "Provisioning", environment: name })
    const environment = yield* emptyEnvironment(name, spec)
    world.environments.set(name, environment)
    mine.add(environment)
    environment.resources.add("Environment")
    const attempt = MemoryWorld.countAttempt(world, `provision ${spec.owner}/${spec.name}`)
    if (program.provisionDelay > 0) yield* Effect.sleep(program.provisionDelay)
    if (program.provisionFailure !== undefined && attempt <= program.provisionFailures) {
      return yield* fail(program.provisionFailure)
    }
    environment.resources.add("Workspace")
    if (program.completion !== undefined) {
      const completion: Completion = { exitCode: program.completion, evidence: "reported" }
      yield* Deferred.succeed(environment.ended, completion)
    }
    yield* world.record({ _tag: "Ready", environment: name })
    return opened(environment)
  })

  const attach = ({ environment: name }: { readonly environment: string }) => {
    const environment = world.environments.get(name)
    if (environment === undefined) {
      return fail(new EnvironmentLost({ cause: "Deleted", detail: `${name} does not exist any more` }))
    }
    return Effect.as(world.record({ _tag: "Adopted", environment: name }), opened(environment))
  }

  const opened = (environment: MemoryEnvironment): DriverEnvironment => ({
    facts: {
      os: "memory",
      arch: "memory",
      libc: "unknown",
      workspace: workspacePath(environment),
      services: environment.spec.services.map(({ name, ports }) => ({
        name,
        host: "127.0.0.1",
        ports: Object.fromEntries(ports.map(({ container, host }) => [`${container}`, `${host ?? container}`]))
      }))
    },
    data: { world: "memory" },
    start: (step) => start(environment, step),
    completion: Deferred.await(environment.ended),
    handOver: Effect.suspend(() => {
      environment.custody = "handed-over"
      return world.record({ _tag: "HandedOver", environment: environment.name })
    })
  })

  const start = Effect.fnUntraced(function* (environment: MemoryEnvironment, step: Step) {
    if (world.environments.get(environment.name) !== environment) {
      return yield* fail(
        new EnvironmentLost({ cause: "Deleted", detail: `${environment.name} does not exist any more` })
      )
    }
    const program = options.step?.(step, environment.spec) ?? ofStep(step)
    for (const { exit, step: other } of environment.processes) {
      if (other === step && !Deferred.isDoneUnsafe(exit)) {
        return yield* Effect.die(
          new ProtocolViolation({ message: `the same step is started twice at a time in ${environment.name}` })
        )
      }
    }
    const key = `start ${step._tag === "ScriptStep" ? step.script : (step.dockerfile ?? step.image)} in ${environment.spec.name}`
    const attempt = MemoryWorld.countAttempt(world, key)
    if (program.startFailure !== undefined && attempt <= program.startFailures) {
      return yield* fail(program.startFailure)
    }
    const lose =
      program.lose === undefined
        ? Effect.void
        : world.lose(environment.name, new BackendError({ reason: program.lose }))
    const process = yield* Effect.acquireRelease(startProcess(environment, step, program, lose), (process) =>
      process
        .signal("SIGTERM")
        .pipe(
          Effect.andThen(Effect.exit(Deferred.await(process.exit))),
          Effect.timeoutOption(environment.spec.timeouts.stopGrace),
          Effect.andThen(process.kill)
        )
    )
    yield* world.record({ _tag: "StepStarted", environment: environment.name, step })
    yield* Effect.forkDetach(
      Effect.flatMap(Deferred.await(process.exit), (exitCode) =>
        world.record({ _tag: "StepEnded", environment: environment.name, step, exitCode })
      ).pipe(Effect.ignore),
      { startImmediately: true }
    )
    const running: RunningStep = {
      output: process.output,
      exitCode: Deferred.await(process.exit),
      signal: (signal) =>
        Effect.andThen(
          world.record({ _tag: "StepSignalled", environment: environment.name, step, signal }),
          process.signal(signal)
        ),
      files: Effect.sync(
        () =>
          new Map(step.files.filter(({ collect }) => collect).map(({ name }) => [name, process.files.get(name) ?? ""]))
      )
    }
    return running
  })

  const selected = (selector?: Parameters<BackendDriver["list"]>[0]) =>
    [...world.environments.values()].filter(({ name, spec }) =>
      matches({ environment: name, owner: spec.owner }, selector)
    )

  const destroy = (selector: Parameters<BackendDriver["destroy"]>[0]) =>
    Effect.suspend(() =>
      destroyEach(
        selected(selector),
        Effect.fnUntraced(function* (environment) {
          const { releaseDelay, releaseFailure } = programOf(environment.spec)
          environment.releaseTried = true
          if (releaseDelay > 0) yield* Effect.sleep(releaseDelay)
          if (releaseFailure !== undefined) {
            yield* world.record({ _tag: "ReleaseFailed", environment: environment.name })
            return yield* fail(releaseFailure)
          }
          yield* world.lose(
            environment.name,
            new BackendError({ reason: new EnvironmentLost({ cause: "Deleted", detail: "it was released" }) })
          )
          yield* Effect.forEach(environment.processes, (process) => process.kill)
          yield* world.record({ _tag: "Released", environment: environment.name })
        })
      )
    )

  const driver: BackendDriver = {
    name: "memory",
    capabilities: { ...capabilities, ...options.capabilities },
    create,
    attach,
    destroy,
    list: (selector) =>
      Stream.suspend(() =>
        Stream.fromIterable(
          selected(selector).flatMap(({ createdAt, custody, name, resources, spec }) =>
            [...resources].map(
              (kind) =>
                new OwnedResource({
                  backend: "memory",
                  kind,
                  name,
                  environment: name,
                  owner: spec.owner,
                  custody,
                  createdAt
                })
            )
          )
        )
      ),
    removalCommand: (environment) => `(memory: nothing outlives this process; environment ${environment})`
  }
  return fromDriver(driver)
})

/**
 * A backend in a world of yours: for tests with several processes.
 *
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<JobBackend, never, MemoryWorld.MemoryWorld> =>
  Layer.effect(JobBackend, make(options))

/**
 * A backend with a world of its own, which the test can look at.
 *
 * @category layers
 */
export const layerTest = (options?: Options): Layer.Layer<JobBackend | MemoryWorld.MemoryWorld> =>
  Layer.provideMerge(layer(options), MemoryWorld.layer)
