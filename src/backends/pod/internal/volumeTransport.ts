/**
 * Steps through the shared volume: no call of the API, so no API server, proxy or idle time-out can break a running step.
 *
 * **Details**
 *
 * A step is a directory on the volume that both sides see, and a line in the supervisor's FIFO. Output grows in files that are read here
 * as they grow; the step's wrapper holds the FIFO `alive` open, so that its end, and the container's, are seen at once. An end of that
 * FIFO without a `code` is a loss; then the pod is asked why.
 *
 * Directories are made here and are open to all, because the container may have any user; what protects their contents is that their
 * names cannot be guessed. The container makes only files, so that whoever made the directory can remove all of it.
 */
import * as Fs from "node:fs"
import { Socket } from "node:net"
import * as Path from "node:path"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { within } from "../../../domain/internal/within.ts"
import type { OutputChunk } from "../../../domain/JobEnvironment.ts"
import { BackendError, EnvironmentLost, fail, StepStartFailed, StorageFailed } from "../../../domain/JobError.ts"
import { makeFifos, stockFifos, takeFifos } from "./fifo.ts"
import { makeGrowingFiles } from "./growingFiles.ts"
import * as podScripts from "./podScripts.ts"
import type { JobPod, StepRequest, StepTransport, TransportStep } from "./StepTransport.ts"
import { exitCodeOf } from "./trailer.ts"

const onVolume = podScripts.volumeDirectory

/** FIFOs that steps will need. */
const stock = "fifos"

/** The volume's directory for one environment, before its pod exists: what the supervisor looks for. */
export const prepareVolume = (local: string): Effect.Effect<void, BackendError> =>
  Effect.gen(function* () {
    yield* storing("preparing the shared volume", () => {
      Fs.mkdirSync(Path.dirname(local), { recursive: true, mode: 0o711 })
      Fs.chmodSync(Path.dirname(local), 0o711)
      openDirectory(local)
      for (const [name, script] of Object.entries({
        run: podScripts.run,
        stop: podScripts.stop,
        signal: podScripts.signal
      })) {
        Fs.writeFileSync(Path.join(local, name), script, { mode: 0o644 })
      }
    })
    yield* makeFifos([Path.join(local, "requests"), Path.join(local, "hello")])
    yield* storing("preparing the shared volume", () => openDirectory(Path.join(local, stock)))
    yield* stockFifos(Path.join(local, stock))
  })

/** What the supervisor says of its container once it runs, if it can be heard through the volume. */
export const greeting = (local: string): Effect.Effect<string, BackendError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const said = yield* listen(Path.join(local, "hello"))
      return yield* said.all
    })
  )

const removeVolume = (local: string): Effect.Effect<void, BackendError> =>
  storing("removing this environment's part of the shared volume", () =>
    Fs.rmSync(local, { recursive: true, force: true })
  )

export const makeVolumeTransport = (local: string, pod: JobPod, reuse = false): StepTransport => {
  const request = (line: string) =>
    Effect.gen(function* () {
      const sent = yield* storing("asking the pod's supervisor", () => tell(Path.join(local, "requests"), `${line}\n`))
      if (!sent) return yield* (yield* pod.whyLost) ?? fail(silent)
    })

  const start = Effect.fnUntraced(function* (step: StepRequest) {
    const directory = Path.join(local, step.id)
    const inDirectory = (name: string) => Path.join(directory, name)
    const exit = Deferred.makeUnsafe<number, BackendError>()
    /** Set once the step may run. */
    let stopping: Effect.Effect<unknown> | undefined
    let over = false

    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        stopping !== undefined && !over
          ? within(Effect.asVoid(stopping), Duration.sum(step.stopGrace, Duration.seconds(15)), undefined)
          : Effect.void,
        Effect.ignore(removeVolume(directory))
      )
    )

    yield* storing("writing the step's files", () => {
      openDirectory(directory)
      openDirectory(inDirectory("files"))
      for (const name of ["out", "err"]) openFile(inDirectory(name), "")
      if (step.merged) openFile(inDirectory("merged"), "")
      for (const { content, name } of step.files) openFile(inDirectory(`files/${name}`), content)
      Fs.writeFileSync(inDirectory("main"), step.main, { mode: 0o644 })
    })
    yield* takeFifos(Path.join(local, stock), ["alive", "o", ...(step.merged ? [] : ["e"])].map(inDirectory))
    const alive = yield* listen(inDirectory("alive"))
    const files = yield* makeGrowingFiles(directory, step.merged ? ["out"] : ["out", "err"], reuse)
    const stop = Effect.gen(function* () {
      yield* takeFifos(Path.join(local, stock), [inDirectory("stopped")])
      return yield* Effect.scoped(
        Effect.gen(function* () {
          const stopped = yield* listen(inDirectory("stopped"))
          const lost = yield* listen(inDirectory("alive"))
          yield* request(`stop ${step.id} ${marker(step)} ${tenths(step)}`)
          // A supervisor that goes meanwhile takes the step with it.
          yield* Effect.raceFirst(stopped.all, Effect.andThen(lost.all, Effect.sleep("1 second")))
          const code = yield* storing("reading the step's exit code", () => readIfThere(inDirectory("code")))
          return exitCodeOf(code ?? "") ?? (yield* fail(unexplained))
        })
      )
    }).pipe(Effect.onExit((ended) => Deferred.done(exit, ended)))
    stopping = Effect.ignore(stop)
    yield* request(`start ${step.id}`)

    const ended = Effect.gen(function* () {
      yield* alive.all
      const code = yield* storing("reading the step's exit code", () => readIfThere(inDirectory("code")))
      if (code === undefined || code === "") return yield* (yield* pod.whyLost) ?? fail(unexplained)
      if (code.trim() === "refused") {
        const detail = yield* storing("reading why the step was refused", () => readIfThere(inDirectory("refused")))
        return yield* fail(new StepStartFailed({ detail: detail?.trim() ?? "", transient: false }))
      }
      return exitCodeOf(code) ?? (yield* fail(unexplained))
    })
    yield* Effect.forkScoped(
      Effect.onExit(ended, (result) => {
        over = Exit.isSuccess(result) || !Cause.hasInterruptsOnly(result.cause)
        // A step that is stopped ends by that, and its code is known then.
        if (over) Deferred.doneUnsafe(exit, result)
        files.finish()
        return Effect.void
      }),
      { startImmediately: true }
    )
    yield* Effect.raceFirst(
      files.until(() => Fs.existsSync(inDirectory("pid"))),
      Effect.flatMap(Effect.exit(Deferred.await(exit)), (result) =>
        // A step that was over before anyone looked has started, too.
        Exit.isFailure(result) ? Effect.asVoid(result) : Effect.void
      )
    )

    const running: TransportStep = {
      output: Stream.map(
        files.output,
        ({ bytes, name }): OutputChunk => ({ stream: name === "err" ? "stderr" : "stdout", bytes })
      ).pipe(
        // Output that ends because the step was lost ends with that error.
        Stream.concat(Stream.drain(Stream.fromEffect(Deferred.await(exit))))
      ),
      exitCode: Deferred.await(exit),
      signal: (name) =>
        Effect.suspend(() =>
          Deferred.isDoneUnsafe(exit) ? Effect.void : request(`signal ${step.id} ${marker(step)} ${name.slice(3)}`)
        ),
      files: Effect.andThen(
        Effect.exit(Deferred.await(exit)),
        storing("reading the step's files", () => {
          const contents = step.collect.map((name) => [name, readIfThere(inDirectory(`files/${name}`))] as const)
          return new Map(contents.flatMap(([name, content]) => (content === undefined ? [] : [[name, content]])))
        })
      ),
      outOfMemory: Effect.map(Deferred.await(exit), () => Fs.existsSync(inDirectory("oom"))),
      // Whoever shares a volume sees every file already.
      returned: Effect.succeed(new Map())
    }
    return running
  })

  return { kind: "volume", pathOf: (id, name) => `${onVolume}/${id}/files/${name}`, start }
}

const marker = (step: StepRequest) => `${podScripts.markerVariable}=${step.id}`

const tenths = (step: StepRequest) => Math.ceil(Duration.toMillis(step.stopGrace) / 100)

const silent = new EnvironmentLost({
  cause: "Unknown",
  detail: "its supervisor no longer takes requests from the shared volume"
})

const unexplained = new EnvironmentLost({
  cause: "Unknown",
  detail: "the shell that waits for the step was killed, and its exit code with it"
})

/** The umask of this process must not keep the container out. */
const openDirectory = (path: string) => {
  Fs.mkdirSync(path, { recursive: true })
  Fs.chmodSync(path, 0o777)
}

const openFile = (path: string, content: string) => {
  Fs.writeFileSync(path, content)
  Fs.chmodSync(path, 0o666)
}

const readIfThere = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined
    throw error
  }
}

/** Writes a line into a FIFO. False: nobody reads it. */
const tell = (fifo: string, line: string): boolean => {
  let descriptor: number
  try {
    descriptor = Fs.openSync(fifo, Fs.constants.O_WRONLY | Fs.constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === "ENXIO" || codeOf(error) === "ENOENT") return false
    throw error
  }
  try {
    Fs.writeSync(descriptor, line)
    return true
  } finally {
    Fs.closeSync(descriptor)
  }
}

/** Listens to a FIFO: all that is written to it, once its last writer has gone. Opened without waiting for one. */
const listen = (fifo: string) =>
  Effect.map(
    Effect.acquireRelease(
      storing("listening to the pod", () => {
        const descriptor = Fs.openSync(fifo, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
        return new Socket({ fd: descriptor, readable: true, writable: false })
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) => {
      const ended = Deferred.makeUnsafe<string>()
      const chunks: Array<Buffer> = []
      const finish = () => Deferred.doneUnsafe(ended, Effect.succeed(Buffer.concat(chunks).toString("utf8")))
      socket
        .on("data", (chunk) => chunks.push(chunk))
        .on("end", finish)
        .on("error", finish)
        .on("close", finish)
      return { all: Deferred.await(ended) }
    }
  )

const codeOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "code" in error ? error.code : undefined

const storing = <A>(operation: string, work: () => A): Effect.Effect<A, BackendError> =>
  Effect.try({
    try: work,
    catch: (cause) =>
      new BackendError({
        reason: new StorageFailed({
          operation,
          detail: cause instanceof Error ? cause.message : String(cause),
          transient: false
        })
      })
  })
