/**
 * Steps over exec: works wherever exec works, through any proxy.
 *
 * **Details**
 *
 * The step is detached in the pod; the connection only follows it. A connection that ends without the step's end is opened again where the
 * last one ended, so that no byte is lost and none comes twice. To launch is idempotent: the step's directory is made by whoever is first.
 */
import { randomBytes } from "node:crypto"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { within } from "../../../domain/internal/within.ts"
import type { OutputChunk } from "../../../domain/JobEnvironment.ts"
import { BackendError, EnvironmentLost, fail, StepStartFailed } from "../../../domain/JobError.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import { KubeError } from "../../kubernetes/KubeError.ts"
import { openScript, runScript } from "./podExec.ts"
import * as podScripts from "./podScripts.ts"
import type { JobPod, StepRequest, StepTransport, TransportStep } from "./StepTransport.ts"
import { exitCodeOf, makeTrailerReader, type Trailer } from "./trailer.ts"

const { quote } = podScripts

/** How long to go on trying while no connection can be made. */
const patience = Duration.minutes(5)

/** A connection that stood for so long, in milliseconds, was a good one. */
const settled = 1000

export const makeExecTransport = (kube: KubeClient["Service"], pod: JobPod): StepTransport => {
  const place = { namespace: pod.namespace, pod: pod.pod, container: pod.container }
  const steps = `${pod.stateDirectory}/steps`

  const start = Effect.fnUntraced(function* (request: StepRequest) {
    const directory = `${steps}/${request.id}`
    const token = yield* Effect.sync(() => `\u001e${randomBytes(16).toString("hex")}`)
    const exit = Deferred.makeUnsafe<Trailer, BackendError>()
    const started = Deferred.makeUnsafe<void, BackendError>()
    const queue = yield* Queue.bounded<OutputChunk, Cause.Done | BackendError>(8)
    const received = { stdout: 0, stderr: 0 }
    /** The step has ended, or never was: there is nothing to stop. */
    let over = false

    const scriptFor = () => {
      const launched = !Deferred.isDoneUnsafe(started)
      const following = podScripts.follow({
        directory,
        token,
        ...received,
        merged: request.merged,
        collect: request.collect,
        returned: launched && request.returning !== "" ? `${awaitEarlier}\n${request.returning}` : request.returning,
        launched
      })
      return launched ? `${launch(request, steps)}${following}` : following
    }

    /** When the connection was made that is there now, or was there last. */
    let madeAt: number | undefined

    /** One connection; its trailer if it came that far, else why not. */
    const connection = Effect.fnUntraced(function* () {
      madeAt = undefined
      const running = Deferred.isDoneUnsafe(started)
      const readers = { stdout: makeTrailerReader(token, running), stderr: makeTrailerReader(token, running) }
      /** What comes last may not come, of each stream: only what both have said is an end. */
      const ended = () => (request.merged || readers.stderr.trailer !== undefined ? readers.stdout.trailer : undefined)
      const said: Array<string> = []
      const process = yield* openScript(kube, place, scriptFor())
      madeAt = yield* Clock.currentTimeMillis
      yield* Stream.runForEachWhile(process.output, ({ bytes, stream }) => {
        const reader = readers[stream]
        const own = reader.push(bytes)
        if (readers.stdout.started) Deferred.doneUnsafe(started, Effect.void)
        const goOn = ended() === undefined
        if (own.length === 0) return Effect.succeed(goOn)
        if (stream === "stderr" && !reader.started) {
          said.push(Buffer.from(own).toString("utf8"))
          return Effect.succeed(goOn)
        }
        received[stream] += own.length
        return Effect.as(Queue.offer(queue, { stream, bytes: own }), goOn)
      })
      const trailer = ended()
      // What the trailer says is all there is: nothing of the follower's own end is waited for.
      const code = trailer === undefined ? yield* process.exitCode : 0
      return { trailer, code, said: said.join("").trim() }
    })

    const nowLost = pod.nowLost.pipe(
      Effect.timeoutOrElse({ duration: "2 seconds", orElse: () => Effect.as(Effect.void, undefined) }),
      Effect.orElseSucceed(() => undefined)
    )

    const pump = Effect.gen(function* () {
      let failures = 0
      let unreachableSince: number | undefined
      for (;;) {
        const before = received.stdout + received.stderr
        const result = yield* Effect.exit(Effect.scoped(connection()))
        if (Exit.isSuccess(result)) {
          const { code, said, trailer } = result.value
          if (trailer !== undefined && trailer.end !== "lost") return trailer
          if (code === notStarted) {
            return yield* fail(
              new StepStartFailed({ detail: said === "" ? "its files could not be written" : said, transient: false })
            )
          }
          const lost = yield* pod.whyLost
          if (lost !== undefined) return yield* lost
          if (trailer !== undefined) return yield* fail(unexplained)
          // Somebody ended the follower only: the step may still run.
        } else {
          const error = yield* errorOf(result.cause)
          if (!mayHeal(error)) return yield* (yield* pod.whyLost) ?? fromKubeError(error)
          const now = yield* Clock.currentTimeMillis
          if (madeAt === undefined) {
            unreachableSince ??= now
            if (now - unreachableSince > Duration.toMillis(patience)) return yield* fromKubeError(error)
            // A connection that can be made tells itself whether the pod is there.
            const lost = yield* nowLost
            if (lost !== undefined) return yield* lost
          } else {
            unreachableSince = undefined
            // Idle time-outs of proxies end the connections of silent steps as a matter of course.
            if (now - madeAt > settled) failures = 0
          }
          yield* Effect.logDebug(`Following the step again: ${error.message}`)
        }
        if (received.stdout + received.stderr > before) failures = 0
        yield* Effect.sleep(Math.min(2000, 50 * 2 ** Math.min(failures++, 8)))
      }
    })

    yield* Effect.addFinalizer(() => (over ? Effect.void : within(stop, grace(request), undefined)))
    const stop = runScript(kube, place, podScripts.stop, [directory, marker(request), String(tenths(request))]).pipe(
      Effect.flatMap(({ stdout }) => {
        const code = exitCodeOf(stdout)
        return code === undefined ? fail(unexplained) : Effect.succeed<Trailer>({ end: code, files: new Map() })
      }),
      Effect.mapError((error) => (error instanceof BackendError ? error : fromKubeError(error))),
      Effect.onExit((ended) => Deferred.done(exit, ended)),
      Effect.ignore
    )
    yield* Effect.forkScoped(
      Effect.onExit(pump, (ended) => {
        over = Exit.isSuccess(ended) || !Cause.hasInterruptsOnly(ended.cause)
        // A step that is stopped ends by that, and its code is known then.
        if (over) Deferred.doneUnsafe(exit, ended)
        // A start that has not happened must not be waited for.
        Deferred.doneUnsafe(started, Effect.asVoid(ended))
        return Exit.match(ended, {
          onSuccess: () => Queue.end(queue),
          onFailure: (cause) => Queue.failCause(queue, cause)
        })
      }),
      { startImmediately: true }
    )
    yield* Deferred.await(started)
    if (Deferred.isDoneUnsafe(exit)) {
      const trailer = yield* Deferred.await(exit)
      if (trailer.end === "refused") return yield* fail(refusal(trailer))
    }

    const step: TransportStep = {
      output: Stream.ensuring(Stream.fromQueue(queue), discard(queue)),
      exitCode: Effect.flatMap(Deferred.await(exit), (trailer) => {
        switch (trailer.end) {
          case "refused":
            return fail(refusal(trailer))
          case "lost":
            return fail(unexplained)
          default:
            return Effect.succeed(trailer.end)
        }
      }),
      signal: (name) =>
        Effect.suspend(() =>
          Deferred.isDoneUnsafe(exit)
            ? Effect.void
            : runScript(kube, place, podScripts.signal, [directory, marker(request), name.slice(3)]).pipe(
                Effect.mapError(fromKubeError),
                Effect.asVoid
              )
        ),
      files: Effect.map(
        Deferred.await(exit),
        ({ files }) =>
          new Map(
            request.collect.flatMap((name) => {
              const content = files.get(name)
              return content === undefined ? [] : [[name, Buffer.from(content).toString("utf8")] as const]
            })
          )
      ),
      outOfMemory: Effect.map(Deferred.await(exit), ({ files }) => files.has(".oom")),
      returned: Effect.map(
        Deferred.await(exit),
        ({ files }) => new Map([...files].filter(([name]) => name.startsWith("/")))
      )
    }
    return step
  })

  return { kind: "exec", pathOf: (id, name) => `${steps}/${id}/files/${name}`, start }
}

/** The exit code by which the launch says that nothing was started. */
const notStarted = 97

const marker = (request: StepRequest) => `${podScripts.markerVariable}=${request.id}`

const tenths = (request: StepRequest) => Math.ceil(Duration.toMillis(request.stopGrace) / 100)

/** Beyond the grace: what the stop itself needs, on a slow connection. */
const grace = (request: StepRequest) => Duration.sum(request.stopGrace, Duration.seconds(15))

const launch = (request: StepRequest, steps: string): string => {
  const directory = `${steps}/${request.id}`
  return `
earlier=
[ -d ${steps} ] || mkdir -p ${steps} || exit ${notStarted}
if mkdir ${directory} ${directory}/files 2>/dev/null; then
  ( umask 077; set -e; cd ${directory}
    : >out; : >err; ${request.merged ? ": >merged; " : ""}mkfifo -m 666 ${request.merged ? "o" : "o e"} 2>/dev/null || rm -f o e
    ${directoriesOf(request.uploads)}
    ${request.uploads.map((file) => put(file, request.id)).join("\n    ")}
    ${request.files.map(({ content, name }) => `printf '%s' ${quote(content)} >files/${quote(name)}`).join("\n    ")}
    printf '%s' ${quote(request.main)} >main
    printf '%s' ${quote(podScripts.run)} >run
  ) || { rm -rf ${directory}; exit ${notStarted}; }
  detached() { if command -v setsid >/dev/null 2>&1; then setsid setsid "$@"; else "$@" & fi; }
  detached sh ${directory}/run ${directory} </dev/null >/dev/null 2>&1
  ${request.returning === "" ? "" : earlier(directory)}
  set -- ${steps}/*
  [ $# -gt 20 ] && { find ${steps} -mindepth 2 -name code -mmin +10 -exec sh -c 'for c; do rm -rf "\${c%/code}"; done' _ {} + & } >/dev/null 2>&1
fi
`
}

/**
 * What comes back is what is newer than `main`, and busybox's find compares whole seconds. It is done beside the step, and waited for at its
 * end: two processes take 4 ms.
 */
const earlier = (directory: string) =>
  `{ touch -d "@$(($(date +%s) - 1))" ${directory}/main; } </dev/null >/dev/null 2>&1 & earlier=$!`

const awaitEarlier = 'if [ -n "$earlier" ]; then wait $earlier; fi'

/** A shell that reads a script which is being written sees the end of it too soon, and ends with success. */
const put = ({ content, name, own }: StepRequest["uploads"][number], id: string): string => {
  const draft = own ? name : `${name.slice(0, name.lastIndexOf("/"))}/.jobscope-${id}`
  return `printf '%s' ${quote(content)} >${quote(draft)}${own ? "" : `; mv -f ${quote(draft)} ${quote(name)}`}`
}

const directoriesOf = (files: StepRequest["uploads"]): string =>
  [...new Set(files.map(({ name }) => name.slice(0, Math.max(1, name.lastIndexOf("/")))))]
    .map((parent) => `[ -d ${quote(parent)} ] || mkdir -p ${quote(parent)}`)
    .join("\n    ")

const refusal = ({ files }: Trailer) =>
  new StepStartFailed({
    detail: Buffer.from(files.get(".refused") ?? [])
      .toString("utf8")
      .trim(),
    transient: false
  })

const unexplained = new EnvironmentLost({
  cause: "Unknown",
  detail: "the shell that waits for the step was killed, and its exit code with it"
})

/** Whether to connect again may help. */
const mayHeal = ({ reason }: KubeError): boolean =>
  reason._tag === "ConnectionLost" ||
  reason._tag === "Unavailable" ||
  reason._tag === "TooManyRequests" ||
  reason._tag === "TimedOut" ||
  reason._tag === "Unauthorized"

const errorOf = (cause: Cause.Cause<KubeError | BackendError>): Effect.Effect<KubeError, BackendError> =>
  Effect.matchCauseEffect(Effect.failCause(cause), {
    onFailure: (cause): Effect.Effect<KubeError, BackendError> => {
      const error = cause.reasons.find((reason) => reason._tag === "Fail")?.error
      if (error instanceof KubeError) return Effect.succeed(error)
      return error instanceof BackendError ? Effect.fail(error) : Effect.failCause(cause as Cause.Cause<never>)
    },
    onSuccess: Effect.succeed
  })

/** Whoever stops reading must not keep the step's end from being seen. */
const discard = (queue: Queue.Queue<OutputChunk, Cause.Done | BackendError>) =>
  Effect.asVoid(
    Effect.forkDetach(Effect.ignore(Stream.runDrain(Stream.fromQueue(queue))), {
      startImmediately: true,
      uninterruptible: false
    })
  )
