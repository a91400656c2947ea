/** Actions with a Dockerfile through the pod backend, by the builder that needs nothing: the whole corpus, with and without a shared volume. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Redacted, Stream } from "effect"
import * as Builder from "jobscope/backends/dockerfile/Builder"
import type { ImageConfigs } from "jobscope/backends/dockerfile/ImageConfig"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import { Mount, RegistryCredentials } from "jobscope/domain/Container"
import * as EnvVars from "jobscope/domain/EnvVars"
import { JobContainer, JobSpec } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import { ContainerStep, StepFile } from "jobscope/domain/Step"
import { corpus, refused, taken } from "../../backends/dockerfile/corpus.ts"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { imageConfigs, job, lasting, run, runCorpus, stoppedInRun } from "./support/steps.ts"

const namespace = suiteNamespace()
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined
const local = mkdtempSync(join(tmpdir(), "jobscope-dockerfile-"))
const actions = mkdtempSync(join(tmpdir(), "jobscope-actions-"))
afterAll(() => {
  for (const path of [local, actions]) rmSync(path, { recursive: true, force: true })
})

const builder = Effect.succeed(
  Builder.make({ inline: { toolsImage: "docker.io/library/busybox:latest" } }, imageConfigs)
)
const state = join(local, "state")
const modes: ReadonlyArray<readonly [string, string, Options]> = [
  ...(shared === undefined
    ? []
    : [["claim", shared, { sharing: { _tag: "Claim", claim: "work", root: shared } }] as const]),
  ["copy", join(local, "work"), { sharing: { _tag: "Copy", returned: ["out/**"], stateDirectory: state } }]
]

/** A Dockerfile of a test's own. */
const dockerfile = (name: string, ...lines: ReadonlyArray<string>): string => {
  mkdirSync(join(actions, name), { recursive: true })
  writeFileSync(join(actions, name, "Dockerfile"), `${lines.join("\n")}\n`)
  return join(actions, name, "Dockerfile")
}

it.live("registries are asked about base images with the pull secrets of the job's pod", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const known: Array<string> = []
      const registry: ImageConfigs["Service"] = {
        read: (image, request) => {
          known.push(...(request?.credentials ?? []).map(({ server, username }) => `${username} at ${server}`))
          return imageConfigs.read(image, request)
        }
      }
      const context = yield* Layer.build(
        PodBackend.layer({ namespace, builder: Effect.succeed(Builder.make({}, registry)) }).pipe(Layer.provide(kube))
      )
      const credentials = new RegistryCredentials({
        server: "registry.example",
        username: "somebody",
        password: Redacted.make("p")
      })
      const environment = yield* Context.get(context, JobBackend).provision(
        new JobSpec({ name: "pulls", container: new JobContainer({ image: "busybox:latest", credentials }) })
      )
      const result = yield* run(
        environment,
        new ContainerStep({ dockerfile: dockerfile("inherits", "FROM ubuntu:latest", 'CMD ["echo", "from CMD"]') })
      )
      assert.strictEqual(result.output, "from CMD\n")
      assert.deepStrictEqual(known, ["somebody at registry.example"])
    })
  )
)

for (const [mode, root, options] of modes) {
  describe(mode, () => {
    const layer = PodBackend.layer({ namespace, builder, ...options }).pipe(Layer.provide(kube))
    mkdirSync(root, { recursive: true })
    chmodSync(root, 0o777)
    /** What a step has left on this machine. */
    const left = () => {
      const where = mode === "claim" ? join(root, ".jobscope") : state
      return readdirSync(where, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && ["lib", "step", "enter"].includes(entry.name))
        .map(({ name }) => name)
    }

    it.live(
      "every Dockerfile of the corpus does what it is to do",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* (yield* JobBackend).provision(job(mode, root))
            assert.deepStrictEqual(yield* runCorpus(environment, root, taken), [])
            assert.deepStrictEqual(left(), [])
          })
        ).pipe(Effect.provide(layer)),
      600_000
    )

    it.live("what cannot be done is refused, and there is no pod", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const backend = yield* JobBackend
          const environment = yield* backend.provision(job(mode, root))
          for (const { name, refusal } of refused.filter(({ name }) => name !== "r5-no-entrypoint")) {
            const error = yield* Effect.flip(
              run(environment, new ContainerStep({ dockerfile: join(corpus, name, "Dockerfile") }))
            )
            assert.strictEqual(error.reason._tag, "DockerfileRefused")
            assert.strictEqual(error.message, refusal)
          }
          const owned = yield* Stream.runCollect(backend.list({ environment: environment.name }))
          assert.strictEqual(owned.filter(({ kind }) => kind === "Pod").length, 1)
        })
      ).pipe(Effect.provide(layer))
    )

    it.live("its variables and files are the entry point's, and no RUN sees them", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const environment = yield* (yield* JobBackend).provision(job(mode, root))
          const result = yield* run(
            environment,
            new ContainerStep({
              dockerfile: dockerfile(
                "variables",
                "FROM alpine:latest",
                "RUN echo build; env; cat /proc/1/environ | tr '\\0' '\\n'",
                // Wherever it looks: its own files, those of every process, what is mounted.
                "RUN grep -rsal 'hi[d]den' /__jobscope /tmp /proc/[0-9]*/environ /proc/[0-9]*/cmdline; echo looked",
                "RUN sleep 1; find /__jobscope -name 'enter*' -size +0; echo built",
                "RUN mkdir -p /github/workspace/out && echo run >/github/workspace/out/from-run",
                `ENTRYPOINT ["sh", "-c", "echo \\"$INPUT_TOKEN\\"; echo x=1 >> $OUT; echo \\"$1\\"; echo kept > out/from-entry; exit 5", "sh"]`
              ),
              args: ["$(echo no) $INPUT_TOKEN"],
              env: EnvVars.fromRecord({ INPUT_TOKEN: "hidden 'secret' $HOME" }),
              workingDirectory: "/github/workspace",
              mounts: [new Mount({ source: root, target: "/github/workspace" })],
              files: [new StepFile({ name: "output", variable: "OUT", collect: true, content: "a=0\n" })]
            })
          )
          const [build = "", entry = ""] = result.output.split("\nbuilt\n")
          assert.notMatch(build, /^\/(proc|tmp|__jobscope)/m)
          assert.include(build, "\nPATH=")
          assert.notInclude(build, "INPUT_TOKEN")
          assert.notInclude(build, "hidden")
          assert.strictEqual(entry.slice(entry.indexOf("hidden")), "hidden 'secret' $HOME\n$(echo no) $INPUT_TOKEN\n")
          assert.strictEqual(result.exitCode, 5)
          assert.deepStrictEqual([...result.files], [["output", "a=0\nx=1\n"]])
          const back = yield* run(
            environment,
            new ContainerStep({
              image: "alpine:latest",
              entryPoint: ["cat", "/w/out/from-run", "/w/out/from-entry"],
              mounts: [new Mount({ source: root, target: "/w" })]
            })
          )
          assert.strictEqual(back.output, "run\nkept\n")
        })
      ).pipe(Effect.provide(layer))
    )

    it.live("a stage that fails ends the step with its code; one that cannot start says so", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const environment = yield* (yield* JobBackend).provision(job(mode, root))
          const failed = yield* run(
            environment,
            new ContainerStep({
              dockerfile: dockerfile(
                "stage",
                "FROM busybox:latest AS tools",
                "RUN echo in the stage; exit 3",
                "FROM alpine:latest",
                "RUN echo in the last",
                "COPY --from=tools /bin/busybox /x",
                'ENTRYPOINT ["/x"]'
              )
            })
          )
          assert.strictEqual(failed.exitCode, 3)
          assert.include(failed.output, "in the stage\n")
          assert.include(failed.output, "Dockerfile line 2: 'RUN echo in the stage; exit 3' ended with exit code 3.")
          const missing = yield* Effect.flip(
            run(
              environment,
              new ContainerStep({
                dockerfile: dockerfile(
                  "missing",
                  "FROM alpine:latest",
                  "COPY --from=localhost:1/no/such:image /x /x",
                  'ENTRYPOINT ["/x"]'
                )
              })
            )
          )
          assert.strictEqual(missing.reason._tag, "ImagePullFailed")
        })
      ).pipe(Effect.provide(layer))
    )

    it.live("a step that is stopped in the middle of a RUN leaves nothing", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const backend = yield* JobBackend
          const environment = yield* backend.provision(job(mode, root))
          const begun = yield* Deferred.make<void>()
          const ended = yield* stoppedInRun(environment, dockerfile("long", ...lasting), begun)
          assert.isUndefined(ended)
          const owned = yield* Stream.runCollect(backend.list({ environment: environment.name }))
          assert.deepStrictEqual(
            owned.flatMap(({ kind }) => (kind === "Pod" || kind === "Secret" ? [kind] : [])),
            ["Pod"]
          )
          assert.deepStrictEqual(left(), [])
        })
      ).pipe(Effect.provide(layer))
    )
  })
}
