/**
 * The same corpus by the builders that have to be set up, through the pod backend. They are not on every cluster: `JOBSCOPE_TEST_BUILDAH_IMAGE`
 * names an image with buildah; `JOBSCOPE_TEST_BUILDKIT_ADDR`, `_TLS_DIR`, `_REPOSITORY` a daemon and where it pushes.
 */
import { createHash } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Stream } from "effect"
import * as Builder from "jobscope/backends/dockerfile/Builder"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import * as EnvVars from "jobscope/domain/EnvVars"
import { JobContainer, JobSpec } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import { ContainerStep, ScriptStep } from "jobscope/domain/Step"
import { taken } from "../../backends/dockerfile/corpus.ts"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { heard, imageConfigs, job, lasting, run, runCorpus, stoppedInRun } from "./support/steps.ts"

const namespace = suiteNamespace()
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined
const layers = nodeIsHere ? sharedDirectory(namespace, "layers") : undefined
const local = mkdtempSync(join(tmpdir(), "jobscope-builders-"))
afterAll(() => rmSync(local, { recursive: true, force: true }))

const {
  JOBSCOPE_TEST_BUILDAH_IMAGE: image,
  JOBSCOPE_TEST_BUILDKIT_ADDR: address,
  JOBSCOPE_TEST_BUILDKIT_TLS_DIR: certificates = "",
  JOBSCOPE_TEST_BUILDKIT_REPOSITORY: repository = ""
} = process.env
const pem = (name: string) => readFileSync(join(certificates, name), "utf8")

/**
 * What buildah 1.28, the one of Debian 12, does otherwise: it knows no heredocs and no `COPY --exclude`, takes `/bin/sh` for an ENTRYPOINT in
 * shell form whatever SHELL says, and runs the ONBUILD lines of the action itself. And a base image of another registry than Docker Hub, which
 * a cluster without a network has no mirror for that a pod knows.
 */
const notByBuildah = [
  "11-shell-instruction",
  "17-run-heredoc",
  "18-copy-heredoc",
  "23-volume-expose",
  "32-nonroot-base",
  "34-exclude-chmod"
]

const builders: ReadonlyArray<readonly [string, () => Builder.Options, ReadonlyArray<string>, boolean]> = [
  ["buildah", () => ({ builder: "buildah", buildah: { image: image ?? "" } }), notByBuildah, image !== undefined],
  [
    "buildkit",
    () => ({
      builder: "buildkit",
      buildkit: {
        address: address ?? "",
        repository,
        insecure: true,
        tls: { ca: pem("ca.pem"), cert: pem("cert.pem"), key: pem("key.pem") }
      }
    }),
    [],
    address !== undefined
  ]
]

const modes: ReadonlyArray<readonly [string, string, Options]> = [
  ...(shared === undefined
    ? []
    : [["claim", shared, { sharing: { _tag: "Claim", claim: "work", root: shared } }] as const]),
  ["copy", join(local, "work"), { sharing: { _tag: "Copy" } }]
]

/** A Dockerfile of a test's own. */
const dockerfile = (name: string, ...lines: ReadonlyArray<string>): string => {
  mkdirSync(join(local, name), { recursive: true })
  writeFileSync(join(local, name, "Dockerfile"), `${lines.join("\n")}\n`)
  return join(local, name, "Dockerfile")
}

it.live.skipIf(image === undefined)("buildah says so where it may not make user namespaces", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const context = yield* Layer.build(
        PodBackend.layer({
          namespace,
          builder: Effect.sync(() => Builder.make({ buildah: { image: image ?? "" } }, imageConfigs)),
          adjust: (pod, roles) =>
            [...roles.values()].includes("step")
              ? { ...pod, spec: { ...pod.spec!, securityContext: { seccompProfile: { type: "RuntimeDefault" } } } }
              : pod
        }).pipe(Layer.provide(kube))
      )
      const environment = yield* Context.get(context, JobBackend).provision(
        new JobSpec({ name: "confined", container: new JobContainer({ image: "busybox:latest" }) })
      )
      const made = dockerfile("confined", "FROM alpine:latest", 'ENTRYPOINT ["true"]')
      const result = yield* run(environment, new ContainerStep({ dockerfile: made }))
      assert.notStrictEqual(result.exitCode, 0)
      assert.include(
        result.output,
        "The builder pod may not create user namespaces (seccomp RuntimeDefault?). Administrator: set ACTIONS_RUNNER_HOOK_BUILD_SECCOMP=localhost/<profile>, or use the inline or buildkit builder."
      )
    })
  )
)

it.live.skipIf(image === undefined || layers === undefined)("buildah keeps layers in a claim", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const context = yield* Layer.build(
        PodBackend.layer({
          namespace,
          builder: Effect.sync(() =>
            Builder.make({ buildah: { image: image ?? "", cacheClaim: "layers" } }, imageConfigs)
          )
        }).pipe(Layer.provide(kube))
      )
      const environment = yield* Context.get(context, JobBackend).provision(
        new JobSpec({ name: "cached", container: new JobContainer({ image: "busybox:latest" }) })
      )
      const step = new ContainerStep({
        dockerfile: dockerfile("cached", "FROM alpine:latest", "RUN echo working", 'ENTRYPOINT ["echo", "done"]')
      })
      const first = yield* run(environment, step)
      assert.match(first.output, /^working\n[\s\S]*\ndone\n$/m)
      const second = yield* run(environment, step)
      assert.notMatch(second.output, /^working$/m)
      assert.match(second.output, /Using cache[\s\S]*\ndone\n$/)
    })
  )
)

for (const [name, options, without, there] of builders) {
  describe.skipIf(!there)(there ? name : `${name} (its JOBSCOPE_TEST_… variable is not set)`, () => {
    for (const [mode, root, sharing] of modes) {
      const begun = Deferred.makeUnsafe<void>()
      const layer = PodBackend.layer({
        namespace,
        ...sharing,
        builder: Effect.sync(() => heard(Builder.make(options(), imageConfigs), begun))
      }).pipe(Layer.provide(kube))

      it.live(
        `${mode}: every Dockerfile of the corpus does what it is to do`,
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              mkdirSync(root, { recursive: true })
              chmodSync(root, 0o777)
              const environment = yield* (yield* JobBackend).provision(job(mode, root))
              const all = taken.filter((entry) => !without.includes(entry.name))
              assert.deepStrictEqual(yield* runCorpus(environment, root, all), [])
            })
          ).pipe(Effect.provide(layer)),
        600_000
      )

      it.live(`${mode}: variables are the entry point's alone, and it works in the job's workspace`, () =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* (yield* JobBackend).provision(
              new JobSpec({ name: "own workspace", container: new JobContainer({ image: "busybox:latest" }) })
            )
            const result = yield* run(
              environment,
              new ContainerStep({
                dockerfile: dockerfile(
                  "variables",
                  "FROM alpine:latest",
                  `RUN echo "looked $(date +%N)"; env; grep -sal 'hi[d]den' /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/root/__jobscope/build/*; echo built`,
                  `ENTRYPOINT ["sh", "-c", "echo \\"$INPUT_TOKEN\\"; pwd; echo kept > from-entry; exit 5"]`
                ),
                env: EnvVars.fromRecord({ INPUT_TOKEN: "hidden 'secret' $HOME" }),
                workingDirectory: environment.facts.workspace
              })
            )
            const at = result.output.indexOf("hidden")
            const build = result.output.slice(0, at)
            assert.notMatch(build, /INPUT_TOKEN=|^\/proc/m)
            assert.strictEqual(result.output.slice(at), `hidden 'secret' $HOME\n${environment.facts.workspace}\n`)
            assert.strictEqual(result.exitCode, 5)
            const after = yield* run(environment, new ScriptStep({ script: "cat from-entry" }))
            assert.strictEqual(after.output, "kept\n")
          })
        ).pipe(Effect.provide(layer))
      )

      it.live(`${mode}: a context of 20 MiB travels, without what is ignored`, () =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* (yield* JobBackend).provision(job(mode, root))
            const made = dockerfile(
              "large",
              "FROM alpine:latest",
              "COPY . /context/",
              'ENTRYPOINT ["sh", "-c", "cd /context && ls && wc -c <large && md5sum <large"]'
            )
            const large = Buffer.alloc(20 * 1024 ** 2)
            for (let at = 0; at < large.length; at += 4) large.writeUInt32LE((at * 2654435761) % 2 ** 32, at)
            writeFileSync(join(made, "../large"), large)
            writeFileSync(join(made, "../ignored"), large)
            writeFileSync(join(made, "../.dockerignore"), "ignored\n.dockerignore\nDockerfile\n")
            const result = yield* run(environment, new ContainerStep({ dockerfile: made }))
            const sum = createHash("md5").update(large).digest("hex")
            assert.isTrue(result.output.endsWith(`large\n${large.length}\n${sum}  -\n`), result.output.slice(-1000))
            assert.notInclude(result.output, "\nignored\n")
          })
        ).pipe(Effect.provide(layer))
      )

      it.live(`${mode}: a step that is stopped in the middle of a RUN leaves nothing`, () =>
        Effect.scoped(
          Effect.gen(function* () {
            const backend = yield* JobBackend
            const environment = yield* backend.provision(job(mode, root))
            assert.isUndefined(yield* stoppedInRun(environment, dockerfile("long", ...lasting), begun))
            const owned = yield* Stream.runCollect(backend.list({ environment: environment.name }))
            assert.deepStrictEqual(
              owned.flatMap(({ kind }) => (kind === "Pod" || kind === "Secret" ? [kind] : [])),
              ["Pod"]
            )
          })
        ).pipe(Effect.provide(layer))
      )
    }
  })
}
