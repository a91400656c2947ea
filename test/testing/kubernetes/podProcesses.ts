/** What runs in pods, and how it is reached, on any cluster. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { Register } from "./behaviour.ts"
import { Cluster, createPod, eventually, logs, phase, remove, run, shell, stateOf } from "./support.ts"

/** `prompt`: what kubelet tells of a pod is told at once. A real one sends some events a second, and after many pods is minutes behind. */
export const podProcesses = (it: Register, prompt: boolean): void => {
  it("variables come from the pod, secrets and fields, and are expanded", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const { namespace } = yield* Cluster
      const secret = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "source" },
        stringData: { KEY: "of secret" }
      }
      yield* kube.request({ verb: "create", resource: KubeResource.secrets, body: secret })
      const env = [
        { name: "A", value: "a" },
        { name: "B", value: "$(A) $$(A) $(NONE) $A" },
        { name: "FROM", valueFrom: { secretKeyRef: { name: "source", key: "KEY" } } },
        { name: "NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
        { name: "SPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
        { name: "WITH-DASH", value: "kept" },
        { name: "EMPTY", value: "" }
      ]
      const script =
        'echo "$B|$FROM|$NAME|$SPACE|$PRE_KEY|$EMPTY|$HOSTNAME|$0"; tr "\\0" "\\n" < /proc/1/environ | grep ^WITH'
      yield* createPod("variables", {
        containers: [
          shell("", {
            command: ["sh", "-c", script],
            args: ["arg of $(A)"],
            env,
            envFrom: [{ prefix: "PRE_", secretRef: { name: "source" } }]
          })
        ]
      })
      yield* phase("variables", "Succeeded")
      assert.strictEqual(
        yield* logs("variables"),
        `a $(A) $(NONE) $A|of secret|variables|${namespace}|of secret||variables|arg of a\nWITH-DASH=kept\n`
      )
    }))

  it("volumes are where they are mounted: shared, read only, parts of them, one in another", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const secret = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "files" },
        stringData: { one: "1", two: "2" }
      }
      yield* kube.request({ verb: "create", resource: KubeResource.secrets, body: secret })
      yield* createPod("mounts", {
        volumes: [
          { name: "work", emptyDir: {} },
          { name: "files", secret: { secretName: "files" } }
        ],
        initContainers: [
          shell("mkdir -p /all/part; echo deep > /all/part/f", {
            name: "writes",
            volumeMounts: [{ name: "work", mountPath: "/all" }]
          })
        ],
        containers: [
          shell(
            "pwd; cat /__w/part/f /part/f /etc/some/one /__w/inner/two; touch /part/x || echo refused; touch /__w/y && ls /__w/part",
            {
              workingDir: "/__w/made/here",
              volumeMounts: [
                { name: "work", mountPath: "/__w" },
                { name: "work", mountPath: "/part", subPath: "part", readOnly: true },
                { name: "files", mountPath: "/etc/some" },
                { name: "files", mountPath: "/__w/inner" }
              ]
            }
          )
        ]
      })
      yield* phase("mounts", "Succeeded")
      const text = (yield* logs("mounts")).replace(/^touch: .*\n/m, "")
      assert.strictEqual(text, "/__w/made/here\ndeep\ndeep\n12refused\nf\n")
    }))

  it("each container has files and processes of its own", () =>
    Effect.gen(function* () {
      yield* createPod("apart", {
        containers: [
          shell("echo a > /tmp/mine; sleep 100", { name: "a" }),
          shell("sleep 1; cat /tmp/mine 2>/dev/null || echo none; ls -d /proc/[0-9]* | wc -l", { name: "b" })
        ]
      })
      yield* eventually("b has said it")(
        Effect.map(
          Effect.orElseSucceed(logs("apart", { container: "b" }), () => ""),
          (text) => /^none\n[1-4]\n$/.test(text)
        )
      )
      const names = yield* Effect.flip(logs("apart"))
      assert.include(names.message, "a container name must be specified for pod apart, choose one of: [a b]")
      yield* remove("apart", 0)
    }))

  it("a log is told with times, from the end, from a time on, in part", () =>
    Effect.gen(function* () {
      const scriptOf = "for i in 1 2 3; do echo line $i; echo err $i >&2; sleep 1.1; done; printf unended"
      yield* createPod("talks", { containers: [shell(scriptOf)] })
      yield* phase("talks", "Running")
      const all = yield* logs("talks", { follow: true })
      assert.sameMembers(all.split("\n"), ["line 1", "err 1", "line 2", "err 2", "line 3", "err 3", "unended"])
      assert.isTrue(all.endsWith("\nunended"))
      yield* phase("talks", "Succeeded")
      const timed = (yield* logs("talks", { timestamps: true })).split("\n")
      for (const line of timed) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (line|err|unended)/)
      assert.strictEqual(yield* logs("talks", { tailLines: 1 }), "unended")
      assert.strictEqual((yield* logs("talks", { tailLines: 3 })).split("\n").length, 3)
      assert.strictEqual((yield* logs("talks", { limitBytes: 9 })).length, 9)
      const since = timed.find((line) => line.endsWith("line 3"))?.split(" ")[0] ?? ""
      const late = yield* logs("talks", { sinceTime: since })
      assert.isTrue(late.includes("line 3") && !late.includes("line 1"), late)
    }))

  it("a log that is not there is refused with the reason", () =>
    Effect.gen(function* () {
      const image = "nosuch.invalid/x:1"
      yield* createPod("silent", {
        initContainers: [shell("sleep 100", { name: "first" })],
        containers: [shell("true"), shell("true", { name: "other", image })]
      })
      yield* eventually("first runs")(
        Effect.map(run("silent", "true", { container: "first" }), ({ code }) => code === 0)
      ).pipe(Effect.retry({ times: 200 }))
      const refused = (options: object) => Effect.map(Effect.flip(logs("silent", options)), ({ message }) => message)
      assert.include(
        yield* refused({ container: "main" }),
        'container "main" in pod "silent" is waiting to start: PodInitializing'
      )
      assert.include(yield* refused({ container: "nobody" }), "container nobody is not valid for pod silent")
      assert.include(
        yield* refused({ container: "first", previous: true }),
        'previous terminated container "first" in pod "silent" not found'
      )
      const exec = yield* Effect.flip(run("silent", "true", { container: "main" }))
      assert.include(exec.message, 'container not found ("main")')
      yield* remove("silent", 0)
    }))

  const shellPod = Effect.fnUntraced(function* (name: string) {
    yield* createPod(name, { containers: [shell("sleep 1000")] })
    yield* phase(name, "Running")
  })

  it("a command gives both outputs and its exit code", () =>
    Effect.gen(function* () {
      yield* shellPod("codes")
      for (const code of [0, 3, 126, 127, 255]) {
        const ended = yield* run("codes", `echo out; echo err >&2; exit ${code}`)
        assert.deepStrictEqual(ended, { stdout: "out\n", stderr: "err\n", code })
      }
      assert.strictEqual((yield* run("codes", "kill -9 $$")).code, 137)
      const kube = yield* KubeClient.KubeClient
      const missing = yield* kube.exec({ pod: "codes", command: ["no-such-program"] })
      const error = yield* Effect.flip(missing.exitCode)
      assert.strictEqual(error.reason._tag, "ExecFailed")
      assert.include(error.message, 'exec: "no-such-program": executable file not found in $PATH')
      const container = yield* Effect.flip(run("codes", "true", { container: "nobody" }))
      assert.include(container.message, "container nobody is not valid for pod codes")
      yield* remove("codes", 0)
    }))

  it("a command has a session of its own in the container, whose variables and directory it sees", () =>
    Effect.gen(function* () {
      const env = [{ name: "OF_POD", value: "yes" }]
      yield* createPod("inside", { containers: [shell("sleep 1000", { env, workingDir: "/srv/here" })] })
      yield* phase("inside", "Running")
      const { stdout } = yield* run(
        "inside",
        'echo $OF_POD; pwd; cut -d" " -f1,5,6 /proc/self/stat; echo $$; tr "\\0" " " < /proc/1/cmdline'
      )
      const [variable, directory, stat = "", pid = "", first] = stdout.split("\n")
      assert.deepStrictEqual([variable, directory], ["yes", "/srv/here"])
      const [, group, session] = stat.split(" ")
      assert.deepStrictEqual([group, session], [pid, pid])
      assert.match(first ?? "", /sleep 1000/)
      yield* remove("inside", 0)
    }))

  it("arguments and variables have the kernel's limit, which is told as the runtime tells it", () =>
    Effect.gen(function* () {
      yield* shellPod("limits")
      const count = (length: number) =>
        run("limits", "", { command: ["sh", "-c", 'echo "$1" | wc -c', "sh", "x".repeat(length)] })
      assert.strictEqual((yield* count(100_000)).stdout.trim(), "100001")
      const long = yield* count(140_000)
      assert.strictEqual(long.code, 1)
      assert.match(`${long.stdout}${long.stderr}`, /^exec \S*sh: argument list too long\n$/)
      yield* createPod("too-long", {
        containers: [shell("true", { env: [{ name: "LONG", value: "x".repeat(140_000) }] })]
      })
      const failed = yield* phase("too-long", "Failed")
      const { exitCode, reason } = stateOf(failed)?.terminated ?? {}
      assert.deepStrictEqual([exitCode, reason], [1, "Error"])
      assert.match(yield* logs("too-long"), /^exec \S*sh: argument list too long\n$/)
      yield* remove("limits", 0)
    }))

  it("what happens to a pod is told by events", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      yield* createPod("eventful", { containers: [shell("", { command: ["no-such-program"] })] })
      yield* phase("eventful", "Failed")
      const told = Effect.map(
        kube.list({ resource: KubeResource.events, query: { fieldSelector: "involvedObject.name=eventful" } }),
        ({ items }) => items.map(({ message, reason, type }) => `${type} ${reason}: ${message}`)
      )
      const scheduled = /^Normal Scheduled: Successfully assigned /
      const ofKubelet = [/^Normal Pulled: /, /^Warning Failed: Error: .*"no-such-program"/]
      const wanted = prompt ? [scheduled, ...ofKubelet] : [scheduled]
      yield* eventually("all of it is told")(
        Effect.map(told, (lines) => wanted.every((one) => lines.some((line) => one.test(line))))
      )
      for (const line of (yield* told).filter((line) => / (Pulled|Failed): /.test(line)))
        assert.isTrue(
          ofKubelet.some((one) => one.test(line)),
          line
        )
    }))

  it("stdin comes to its end", () =>
    Effect.gen(function* () {
      yield* shellPod("reads")
      const kube = yield* KubeClient.KubeClient
      const process = yield* kube.exec({ pod: "reads", command: ["sh", "-c", "cat; echo end"], stdin: true })
      const part = "x".repeat(1000)
      const writing = Stream.run(
        Stream.fromIterable(Array.from({ length: 2000 }, () => Buffer.from(part))),
        process.stdin
      )
      const [, text] = yield* Effect.all(
        [writing, Stream.mkString(Stream.decodeText(Stream.map(process.output, ({ bytes }) => bytes)))],
        { concurrency: 2 }
      )
      assert.strictEqual(text, `${part.repeat(2000)}end\n`)
      assert.strictEqual(yield* process.exitCode, 0)
      yield* remove("reads", 0)
    }))

  it("a command outlives its connection: its stdin ends, and its output waits", () =>
    Effect.gen(function* () {
      yield* shellPod("outlives")
      const kube = yield* KubeClient.KubeClient
      const start = Effect.fnUntraced(function* (script: string) {
        const scope = yield* Scope.make()
        const process = yield* Scope.provide(
          kube.exec({ pod: "outlives", command: ["sh", "-c", script], stdin: true }),
          scope
        )
        yield* Stream.runDrain(Stream.take(process.output, 1))
        yield* Scope.close(scope, Exit.void)
      })
      const has = (file: string) => Effect.map(run("outlives", `test -e /tmp/${file}`), ({ code }) => code === 0)
      yield* start("echo up; cat; touch /tmp/eof; sleep 0.5; echo more; touch /tmp/quiet")
      yield* eventually("its stdin has ended")(has("eof"))
      yield* eventually("it has gone on")(has("quiet"))
      yield* start("echo up; echo $$ > /tmp/loud; exec seq 1 2000000")
      const written = Effect.map(run("outlives", "grep wchar /proc/$(cat /tmp/loud)/io"), ({ stdout }) =>
        Number(stdout.replace(/\D/g, ""))
      )
      let before = 0
      yield* eventually("it stands still")(
        Effect.map(Effect.delay(written, "300 millis"), (now) => {
          const stands = now > 0 && now === before
          before = now
          return stands
        })
      )
      assert.isBelow(before, 2_000_000)
      yield* remove("outlives", 0)
    }))

  it("a command waits for who still holds its output", () =>
    Effect.gen(function* () {
      yield* shellPod("holds")
      const { stdout } = yield* run("holds", "(sleep 1; echo late) & echo early")
      assert.strictEqual(stdout, "early\nlate\n")
      yield* remove("holds", 0)
    }))

  it("a command ends with its container", () =>
    Effect.gen(function* () {
      yield* createPod("ends", { containers: [shell("while ! test -e /tmp/go; do sleep 0.1; done")] })
      yield* phase("ends", "Running")
      const ended = yield* Effect.exit(run("ends", "touch /tmp/go; sleep 1000"))
      if (Exit.isSuccess(ended)) assert.strictEqual(ended.value.code, 137)
      yield* phase("ends", "Succeeded")
      const late = yield* Effect.flip(run("ends", "true"))
      assert.include(late.message, 'container not found ("main")')
    }))
}
