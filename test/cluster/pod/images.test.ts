/** Images, users and settings of any kind; and values that nobody but the step is to see. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import { ContainerSettings } from "jobscope/domain/Container"
import * as EnvVars from "jobscope/domain/EnvVars"
import { JobContainer, JobSpec, Service } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import { type JobEvent, JobEvents } from "jobscope/domain/JobEvent"
import { ContainerStep, ScriptStep, StepFile } from "jobscope/domain/Step"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { listen, podsIn, run } from "./support.ts"

const namespace = suiteNamespace()
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined

const modes: ReadonlyArray<readonly [string, Options]> = [
  ["exec", {}],
  ...(shared === undefined
    ? []
    : [["volume", { sharing: { _tag: "Claim", claim: "work", root: shared }, transport: "volume" }] as const])
]

const images: ReadonlyArray<readonly [string, Partial<ConstructorParameters<typeof JobContainer>[0]>, string]> = [
  ["busybox, which has no bash", {}, "0:0"],
  ["Debian's family", { image: "ubuntu:latest" }, "0:0"],
  ["musl", { image: "alpine:latest" }, "0:0"],
  ["a user of the image's own", { image: "ghcr.io/actions/actions-runner:latest" }, "1001:1001"],
  ["another user", { user: "1000:1000" }, "1000:1000"],
  ["another user, by number only, in Debian's family", { image: "ubuntu:latest", user: "12345" }, "12345:0"],
  [
    "a root that cannot be written",
    { settings: new ContainerSettings({ readOnlyRoot: true, tmpfs: { "/tmp": "" } }) },
    "0:0"
  ],
  [
    "a root that cannot be written, and another user",
    { user: "1000", settings: new ContainerSettings({ readOnlyRoot: true }) },
    "1000:0"
  ]
]

for (const [mode, options] of modes) {
  describe(mode, () => {
    const layer = PodBackend.layer({ namespace, ...options }).pipe(Layer.provideMerge(kube))
    for (const [title, container, user] of images) {
      it.live(title, () =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* JobBackend.use(({ provision }) =>
              provision(
                new JobSpec({
                  name: "images",
                  container: new JobContainer({ image: "busybox:latest", ...container })
                })
              )
            )
            const step = yield* environment.start(
              new ScriptStep({
                script:
                  'echo "$(id -u):$(id -g)"; echo err >&2; echo reopened >/dev/stderr; echo a=1 >>"$OUT"; : >made; ls; exit 3',
                files: [new StepFile({ name: "output", variable: "OUT", collect: true })]
              })
            )
            const heard = yield* listen(step)
            assert.strictEqual(yield* step.exitCode, 3)
            yield* heard.end
            assert.include(heard.text, `${user}\n`)
            assert.include(heard.text, "made\n")
            assert.include(heard.text, "err\n")
            assert.include(heard.text, "reopened\n")
            assert.deepStrictEqual([...(yield* step.files)], [["output", "a=1\n"]])
            // One that is stopped is gone, whoever it is.
            yield* Effect.scoped(
              Effect.gen(function* () {
                const running = yield* environment.start(new ScriptStep({ script: "echo on; sleep 4321" }))
                yield* (yield* listen(running)).until("on")
              })
            )
            const left = yield* run(
              environment,
              new ScriptStep({ script: "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null" })
            )
            assert.notInclude(left.stdout.replace(/.*for f in.*/g, ""), "sleep 4321")
          })
        ).pipe(Effect.provide(layer))
      )
    }

    it.live("secrets are in no pod, no argv, no handle, no event and no error", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const secret = "hunter2-very-secret"
          const told: Array<JobEvent> = []
          const recorder = { emit: (event: JobEvent) => Effect.sync(() => void told.push(event)) }
          const env = EnvVars.fromRecord({ TOKEN: `job-${secret}` })
          const stepEnv = EnvVars.fromRecord({ STEP_TOKEN: `step-${secret}` })
          const seen = yield* Effect.gen(function* () {
            const environment = yield* JobBackend.use(({ provision }) =>
              provision(
                new JobSpec({
                  name: "secrets",
                  env,
                  container: new JobContainer({ image: "busybox:latest" }),
                  services: [new Service({ name: "redis", image: "redis:latest", env })]
                })
              )
            )
            const step = yield* environment.start(
              new ScriptStep({
                script:
                  'printf %s "$TOKEN $STEP_TOKEN" | wc -c; for f in /proc/[0-9]*/cmdline; do tr "\\0" " " <$f; echo; done 2>/dev/null',
                env: stepEnv
              })
            )
            const heard = yield* listen(step)
            yield* heard.end
            assert.include(heard.text, `${`job-${secret} step-${secret}`.length}\n`)
            const container = yield* environment.start(
              new ContainerStep({
                image: "busybox:latest",
                entryPoint: ["sh", "-c", 'printf %s "$STEP_TOKEN" | wc -c; sleep 2'],
                env: stepEnv
              })
            )
            const log = yield* listen(container)
            yield* log.until("\n")
            const pods = yield* podsIn(namespace)
            yield* log.end
            assert.strictEqual(log.text, `${`step-${secret}`.length}\n`)
            const handle = yield* environment.handOver
            const failure = yield* Effect.exit(
              environment.start(
                new ScriptStep({ script: "", env: EnvVars.fromRecord({ LONG: secret.repeat(10_000) }) })
              )
            )
            assert.isTrue(Exit.isFailure(failure))
            const failed = yield* Effect.exit(
              environment.start(new ContainerStep({ image: "busybox:latest", entryPoint: ["nothing"], env: stepEnv }))
            )
            assert.isTrue(Exit.isFailure(failed))
            return { cmdlines: heard.text, pods, handle, failure: String(failure), failed: String(failed) }
          }).pipe(Effect.provideService(JobEvents, recorder))
          for (const [where, what] of Object.entries({ ...seen, told }))
            assert.notInclude(JSON.stringify(what), secret, where)
          assert.include(seen.failure, "LONG")
          yield* JobBackend.use(({ release }) => release({ environment: seen.handle.environment }))
          const client = yield* KubeClient.KubeClient
          const { items } = yield* client.list({ resource: KubeResource.secrets, namespace })
          assert.deepStrictEqual(
            items.map(({ metadata }) => metadata?.name),
            []
          )
        })
      ).pipe(Effect.provide(layer))
    )
  })
}
