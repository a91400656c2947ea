/** Steps of a Dockerfile on a real cluster. */
import { join } from "node:path"
import { Deferred, Effect, Fiber, Stream } from "effect"
import type * as Builder from "jobscope/backends/dockerfile/Builder"
import * as ImageConfig from "jobscope/backends/dockerfile/ImageConfig"
import { Mount } from "jobscope/domain/Container"
import * as EnvVars from "jobscope/domain/EnvVars"
import { JobContainer, JobSpec } from "jobscope/domain/Job"
import type { JobEnvironment } from "jobscope/domain/JobEnvironment"
import { ContainerStep, type Step } from "jobscope/domain/Step"
import { corpus, type Taken } from "../../../backends/dockerfile/corpus.ts"

/** A registry on this machine that has what the cluster has; without one the images' own are asked. */
const mirror = await fetch("http://127.0.0.1:5000/v2/", { signal: AbortSignal.timeout(2000) }).then(
  ({ ok }) => (ok ? "127.0.0.1:5000" : undefined),
  () => undefined
)

const real = ImageConfig.make()

export const imageConfigs: ImageConfig.ImageConfigs["Service"] = {
  read: (image, options) => {
    if (mirror === undefined) return real.read(image, options)
    const path = image.replace(/^(ghcr|docker)\.io\//, "")
    return real.read(`${mirror}/${path.includes("/") ? path : `library/${path}`}`, options)
  }
}

export const job = (name: string, root: string) =>
  new JobSpec({
    name: `dockerfiles ${name}`,
    container: new JobContainer({ image: "busybox:latest", mounts: [new Mount({ source: root, target: "/__w" })] }),
    workingDirectory: "/__w"
  })

export const run = (environment: JobEnvironment, step: Step) =>
  Effect.scoped(
    Effect.gen(function* () {
      const running = yield* environment.start(step)
      const output = yield* running.output.pipe(
        Stream.map(({ bytes }) => bytes),
        Stream.runCollect
      )
      return {
        exitCode: yield* running.exitCode,
        output: Buffer.concat(output).toString(),
        files: yield* running.files
      }
    })
  )

/** Gives those that did not do what they are to do. */
export const runCorpus = Effect.fnUntraced(function* (
  environment: JobEnvironment,
  root: string,
  all: ReadonlyArray<Taken>
) {
  const results = yield* Effect.forEach(
    all,
    ({ args = [], entryPoint, exitCode = 0, name, writes }) =>
      run(
        environment,
        new ContainerStep({
          dockerfile: join(corpus, name, "Dockerfile"),
          args,
          ...(entryPoint === undefined ? {} : { entryPoint }),
          env: EnvVars.fromRecord({ INPUT_NAME: "Mona" }),
          workingDirectory: "/github/workspace",
          mounts: [new Mount({ source: root, target: "/github/workspace" })]
        })
      ).pipe(
        Effect.map((result) => {
          const wanted = writes.map((line) => `${line}\n`).join("")
          const good = result.exitCode === exitCode && result.output.endsWith(wanted)
          return good ? [] : [{ name, exitCode: result.exitCode, output: result.output, wanted }]
        }),
        Effect.catch((error) => Effect.succeed([{ name, exitCode: -1, output: error.message, wanted: "" }]))
      ),
    { concurrency: 3 }
  )
  return results.flat()
})

/** A Dockerfile whose RUN says that it has begun, and lasts. The same is never built twice. */
export const lasting = [
  "FROM alpine:latest",
  `RUN echo ${Date.now()} >/made; echo "it has begun"; sleep 1000`,
  'ENTRYPOINT ["true"]'
]

const hasBegun = (text: string) => /^it has begun$/m.test(text)

/** A builder by which `stoppedInRun` hears of a build that goes on before there is a pod. */
export const heard = (builder: Builder.Builder["Service"], begun: Deferred.Deferred<void>) => ({
  prepare: (request: Builder.Request) =>
    builder.prepare({
      ...request,
      write: (line) =>
        Effect.andThen(
          hasBegun(line) ? Deferred.succeed(begun, undefined) : Effect.void,
          request.write?.(line) ?? Effect.void
        )
    })
})

/** Starts a step of `lasting`, and stops it in the middle of its RUN. */
export const stoppedInRun = Effect.fnUntraced(function* (
  environment: JobEnvironment,
  dockerfile: string,
  begun: Deferred.Deferred<void>
) {
  const running = yield* Effect.forkChild(
    Effect.scoped(
      Effect.gen(function* () {
        const step = yield* environment.start(
          new ContainerStep({ dockerfile, env: EnvVars.fromRecord({ INPUT_TOKEN: "secret" }) })
        )
        yield* Stream.runForEach(step.output, ({ bytes }) =>
          hasBegun(Buffer.from(bytes).toString()) ? Deferred.succeed(begun, undefined) : Effect.void
        )
        return yield* step.exitCode
      })
    )
  )
  const ended = yield* Effect.raceFirst(Effect.as(Deferred.await(begun), undefined), Fiber.join(running))
  yield* Fiber.interrupt(running)
  return ended
})
