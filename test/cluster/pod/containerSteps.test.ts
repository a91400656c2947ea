/** Container steps on a real cluster: the job's files, its services, true exit codes, whatever the image has or lacks. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import { Mount, Port } from "jobscope/domain/Container"
import * as EnvVars from "jobscope/domain/EnvVars"
import { JobContainer, JobSpec, Service, Workspace } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import type { JobEnvironment } from "jobscope/domain/JobEnvironment"
import { ContainerStep, ScriptStep, type Step, StepFile } from "jobscope/domain/Step"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"

const namespace = suiteNamespace()
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined
const local = mkdtempSync(join(tmpdir(), "jobscope-copied-"))
const project = mkdtempSync(join(tmpdir(), "jobscope-project-"))
writeFileSync(join(project, "file"), "project\n")
afterAll(() => {
  for (const path of [local, project]) rmSync(path, { recursive: true, force: true })
})

const modes: ReadonlyArray<readonly [string, string, Options]> = [
  ...(shared === undefined
    ? []
    : [["claim", shared, { sharing: { _tag: "Claim", claim: "work", root: shared } }] as const]),
  ["copy", local, { sharing: { _tag: "Copy", returned: ["out/**"], watched: [join(local, "late")] } }]
]

const run = (environment: JobEnvironment, step: Step) =>
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

for (const [mode, root, options] of modes) {
  describe(mode, () => {
    const layer = PodBackend.layer({ namespace, ...options }).pipe(Layer.provide(kube))
    const mount = new Mount({ source: root, target: "/__w" })
    const spec = () => {
      mkdirSync(join(root, "late"), { recursive: true })
      writeFileSync(join(root, "from-runner"), "runner\n")
      return new JobSpec({
        name: `steps ${mode}`,
        container: new JobContainer({ image: "busybox:latest", mounts: [mount] }),
        workingDirectory: "/__w"
      })
    }

    it.live(
      "sees the job's files, and what it changes is there for the next step, and here where it was asked for",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* (yield* JobBackend).provision(spec())
            yield* run(environment, new ScriptStep({ script: "echo script > made; mkdir -p gone out; : > gone/file" }))
            writeFileSync(join(root, "late", "added"), "late\n")
            const result = yield* run(
              environment,
              new ContainerStep({
                image: "alpine:latest",
                entryPoint: ["sh", "-c"],
                args: [
                  'cat /data/from-runner /data/made /data/late/added; echo "$SECRET:$EMPTY:" "$1"; echo kept > /data/out/kept; rm -r /data/gone; printf x=1 >> "$OUT"; exit 7',
                  "sh",
                  "$(echo no) $HOME"
                ],
                env: EnvVars.fromRecord({ SECRET: "s $(HOME) e", EMPTY: "" }),
                mounts: [new Mount({ source: root, target: "/data" })],
                files: [new StepFile({ name: "output", variable: "OUT", collect: true, content: "a=0\n" })]
              })
            )
            assert.strictEqual(result.output, "runner\nscript\nlate\ns $(HOME) e:: $(echo no) $HOME\n")
            assert.strictEqual(result.exitCode, 7)
            assert.deepStrictEqual([...result.files], [["output", "a=0\nx=1"]])
            assert.strictEqual(readFileSync(join(root, "out", "kept"), "utf8"), "kept\n")
            const after = yield* run(
              environment,
              new ScriptStep({ script: "cat out/kept; ls -d gone late/added 2>&1 || true" })
            )
            assert.include(after.output, "kept\n")
            assert.include(after.output, "gone: No such file")
          })
        ).pipe(Effect.provide(layer))
    )

    it.live("works in the job's workspace, which is the pod's own", () =>
      Effect.scoped(
        Effect.gen(function* () {
          writeFileSync(join(root, "from-runner"), "runner\n")
          const environment = yield* (yield* JobBackend).provision(
            new JobSpec({
              name: `workspace ${mode}`,
              container: new JobContainer({ image: "busybox:latest", mounts: [mount] }),
              workspace: new Workspace({ path: project, mode: "copy" })
            })
          )
          const { workspace } = environment.facts
          yield* run(environment, new ScriptStep({ script: "echo script > made; echo x > gone" }))
          const result = yield* run(
            environment,
            new ContainerStep({
              image: "alpine:latest",
              entryPoint: ["sh", "-ec"],
              args: ["cat file made; rm gone; echo container > out; echo o=1 > $OUT; cat /data/from-runner"],
              workingDirectory: workspace,
              mounts: [new Mount({ source: root, target: "/data" })],
              files: [new StepFile({ name: "output", variable: "OUT", collect: true })]
            })
          )
          assert.deepStrictEqual([result.exitCode, result.output], [0, "project\nscript\nrunner\n"])
          assert.deepStrictEqual([...result.files], [["output", "o=1\n"]])
          const after = yield* run(environment, new ScriptStep({ script: "cat out; ls" }))
          assert.strictEqual(after.output, "container\nfile\nmade\nout\n")
          assert.deepStrictEqual(readdirSync(project), ["file"])
        })
      ).pipe(Effect.provide(layer))
    )

    it.live("reaches the job's services by name, and its image's own entry point runs", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const backend = yield* JobBackend
          const environment = yield* backend.provision(
            new JobSpec({
              ...spec(),
              services: [new Service({ name: "redis", image: "redis:latest", ports: [new Port({ container: 6379 })] })]
            })
          )
          const ping = 'printf "PING\\r\\nQUIT\\r\\n" | nc -w 3 redis 6379'
          const script = yield* run(environment, new ScriptStep({ script: ping }))
          assert.include(script.output, "+PONG")
          const container = yield* run(
            environment,
            new ContainerStep({ image: "busybox:latest", entryPoint: ["sh", "-c", ping] })
          )
          assert.include(container.output, "+PONG")
        })
      ).pipe(Effect.provide(layer))
    )

    it.live("a step that is stopped is gone, and one that cannot start says why", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const backend = yield* JobBackend
          const environment = yield* backend.provision(spec())
          yield* Effect.scoped(
            Effect.gen(function* () {
              const step = yield* environment.start(
                new ContainerStep({ image: "alpine:latest", entryPoint: ["sh", "-c", "echo on; sleep 1000"] })
              )
              yield* Stream.runHead(step.output)
            })
          )
          const pods = yield* Stream.runCollect(backend.list({ environment: environment.name }))
          assert.strictEqual(pods.filter(({ kind }) => kind === "Pod").length, 1)
          const failed = yield* Effect.flip(
            run(environment, new ContainerStep({ image: "alpine:latest", entryPoint: ["no-such-program"] }))
          )
          assert.strictEqual(failed.reason._tag, "StepStartFailed")
          assert.include(failed.message, "no-such-program")
          const missing = yield* Effect.flip(
            run(environment, new ContainerStep({ image: "localhost:1/no/such:image" }))
          )
          assert.strictEqual(missing.reason._tag, "ImagePullFailed")
        })
      ).pipe(Effect.provide(layer))
    )

    it.live("a long output comes as it is", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const environment = yield* (yield* JobBackend).provision(spec())
          const script =
            'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i"; done; head -c 100000 /dev/zero | tr "\\0" y; printf "\\nno end"'
          const { output } = yield* run(
            environment,
            new ContainerStep({ image: "alpine:latest", entryPoint: ["sh", "-c", script] })
          )
          const expected = `${Array.from({ length: 20000 }, (_, at) => `line ${at + 1}\n`).join("")}${"y".repeat(100000)}\nno end`
          assert.isTrue(output.trimEnd() === expected, `${output.length} characters for ${expected.length}`)
        })
      ).pipe(Effect.provide(layer))
    )
  })
}
