/** What runs in pods, run here by the shells that images have. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as podScripts from "../../../src/backends/pod/internal/podScripts.ts"
import { makeTrailerReader } from "../../../src/backends/pod/internal/trailer.ts"
import { runScript, type Shell, shells, startStep } from "./support/shells.ts"

const token = "\u001e5ca1ab1e"

type Step = ReturnType<typeof startStep>

const followScript = (step: Step, more: Partial<Parameters<typeof podScripts.follow>[0]> = {}) =>
  podScripts.follow({ directory: step.directory, token, stdout: 0, stderr: 0, merged: false, collect: [], ...more })

/** Follows to the end, and reads what is told. */
const follow = async (shell: Shell, step: Step, more: Partial<Parameters<typeof podScripts.follow>[0]> = {}) => {
  const ended = await runScript(shell, followScript(step, more)).ended
  const reader = makeTrailerReader(token, true)
  const stdout = Buffer.from(reader.push(ended.stdout)).toString()
  const beside = makeTrailerReader(token, true)
  const stderr = Buffer.from(beside.push(ended.stderr)).toString()
  if (more.merged !== true) assert.strictEqual(beside.trailer?.end, reader.trailer?.end)
  return { stdout, stderr, trailer: reader.trailer, code: ended.code }
}

for (const shell of shells()) {
  describe(shell.name, () => {
    const using = async (
      main: string,
      body: (step: Step) => Promise<unknown>,
      options: Parameters<typeof startStep>[2] = {}
    ) => {
      const step = startStep(shell, main, options)
      try {
        await body(step)
      } finally {
        step.remove()
      }
    }

    it("keeps output and exit code", () =>
      using("echo out; echo err >&2; exit 7", async (step) => {
        assert.strictEqual(await step.code, "7")
        assert.strictEqual(step.read("out"), "out\n")
        assert.strictEqual(step.read("err"), "err\n")
      }))

    it("keeps the exit code where the disk is full by then", () =>
      using('ln -s /dev/full "$1/code"; exit 7', async (step) => {
        assert.strictEqual(await step.code, "7")
      }))

    it("keeps the order of both streams where they are one", () =>
      using(
        "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done",
        async (step) => {
          await step.ended
          assert.strictEqual(step.read("out"), "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\n")
        },
        { merged: true }
      ))

    it.skipIf(!shell.complete)("a script that opens /dev/stdout and /dev/stderr anew empties nothing", () =>
      using(
        "echo one; echo two >/dev/stdout; echo a >&2; echo b >/dev/stderr; echo c | tee /dev/stderr; echo three",
        async (step) => {
          await step.ended
          assert.strictEqual(step.read("out"), "one\ntwo\nc\nthree\n")
          assert.strictEqual(step.read("err"), "a\nb\nc\n")
        }
      )
    )

    for (const signal of ["INT", "TERM", "KILL"]) {
      it(`a step that ends itself by SIG${signal}`, () =>
        using(`kill -${signal} $$; sleep 60`, async (step) => {
          const numbers: Record<string, string> = { INT: "130", TERM: "143", KILL: "137" }
          assert.strictEqual(await step.code, numbers[signal])
        }))

      it(`says nothing of its own about a step that is ended by SIG${signal}`, async () => {
        for (const merged of [true, false]) {
          await using(
            `echo said; kill -${signal} $$; sleep 60`,
            async (step) => {
              await step.ended
              assert.strictEqual(step.read("out"), "said\n")
              if (!merged) assert.strictEqual(step.read("err"), "")
            },
            { merged }
          )
        }
      })
    }

    it("can be interrupted, as in a terminal", () =>
      using(`trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done`, async (step) => {
        await step.until("out", "ready")
        await runScript(shell, podScripts.signal, [step.directory, step.marker, "INT"]).ended
        assert.strictEqual(await step.code, "9")
        assert.strictEqual(step.read("out"), "ready\ncaught\n")
      }))

    it("is stopped with all that belongs to it, whatever session that is in", () =>
      using(
        `trap '' TERM INT; sh -c "trap '' TERM; echo \\$\\$; sleep 1000" & ${shell.complete ? "setsid" : ""} sleep 1001 & echo ready; while :; do sleep 0.05; done`,
        async (step) => {
          await step.until("out", "ready")
          const { stdout } = await runScript(shell, podScripts.stop, [step.directory, step.marker, "3"]).ended
          assert.strictEqual(stdout.toString(), "137\n")
          assert.deepStrictEqual(step.members(), [])
          await step.ended
        }
      ))

    it("is stopped politely first", () =>
      using("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done", async (step) => {
        await step.until("out", "ready")
        const { stdout } = await runScript(shell, podScripts.stop, [step.directory, step.marker, "100"]).ended
        assert.strictEqual(stdout.toString(), "3\n")
        assert.strictEqual(step.read("out"), "ready\nbye\n")
      }))

    // Busybox has a `sleep` of its own.
    it.skipIf(shell.name.startsWith("busybox"))("the grace of a stop is time, however long a look takes", () =>
      using("trap '' TERM; echo ready; while :; do :; done", async (step) => {
        await step.until("out", "ready")
        // On a machine so busy that a tenth of a second takes one.
        const busy = join(step.directory, "busy")
        const calls = join(step.directory, "calls")
        mkdirSync(busy)
        writeFileSync(join(busy, "sleep"), `#!/bin/sh\necho >>${calls}\nexec /bin/sleep 1\n`, { mode: 0o755 })
        const slow = { ...shell, path: `${busy}:${shell.path}` }
        const { stdout } = await runScript(slow, podScripts.stop, [step.directory, step.marker, "10"]).ended
        assert.strictEqual(stdout.toString(), "137\n")
        assert.isAtMost(readFileSync(calls, "utf8").length, 4)
      })
    )

    it("a stop that comes before the start keeps the step from starting", async () => {
      const step = startStep(shell, "exit 0")
      await step.ended
      const other = join(step.directory, "steps", "other")
      const { stdout } = await runScript(shell, podScripts.stop, [other, "JOBSCOPE_STEP=none", "1"]).ended
      assert.strictEqual(stdout.toString(), "143\n")
      assert.strictEqual(readFileSync(join(other, "code"), "utf8"), "143\n")
      step.remove()
    })

    it("is followed to its end, with the files that were asked for", () =>
      using(
        `sleep 0.2; echo out; echo err >&2; printf 'a=1\\n' >"$d/files/output"; printf '\\0\\377' >"$d/files/with space"; exit 4`,
        async (step) => {
          const told = await follow(shell, step, { collect: ["output", "with space", "missing"] })
          assert.strictEqual(told.stdout, "out\n")
          assert.strictEqual(told.stderr, "err\n")
          assert.strictEqual(told.trailer?.end, 4)
          assert.deepStrictEqual(
            [...(told.trailer?.files ?? [])].map(([name, bytes]) => [name, Buffer.from(bytes).toString("hex")]),
            [
              ["output", "613d310a"],
              ["with space", "00ff"]
            ]
          )
          assert.deepStrictEqual(
            readdirSync(step.directory).filter((name) => name.startsWith("follower")),
            []
          )
        }
      ))

    it("is followed from where it was left", () =>
      using("printf 0123456789; printf abcdef >&2", async (step) => {
        await step.ended
        for (const at of [0, 1, 9, 10]) {
          const told = await follow(shell, step, { stdout: at, stderr: Math.min(at, 6) })
          assert.strictEqual(told.stdout, "0123456789".slice(at))
          assert.strictEqual(told.stderr, "abcdef".slice(Math.min(at, 6)))
          assert.strictEqual(told.trailer?.end, 0)
        }
      }))

    it("a file that cannot be read does not hide how the step ended", () =>
      using(`mkdir "$d/files/directory"; echo x >"$d/files/good"; exit 5`, async (step) => {
        await step.ended
        const told = await follow(shell, step, {
          collect: ["directory", "good"],
          // As if it shrank between the two looks.
          returned: `size() { size=5; }; f "$d/files/good" shrunk`
        })
        assert.strictEqual(told.trailer?.end, 5)
        assert.deepStrictEqual([...(told.trailer?.files.keys() ?? [])], ["good", "shrunk"])
      }))

    it("tells when the shell that waits for it was killed", () =>
      using("echo on; while :; do sleep 0.05; done", async (step) => {
        await step.until("out", "on")
        step.wrapper.kill("SIGKILL")
        await step.ended
        const told = await follow(shell, step)
        assert.strictEqual(told.stdout, "on\n")
        assert.strictEqual(told.trailer?.end, "lost")
      }))

    it("another process with the pid of that shell is not mistaken for it", () =>
      using("sleep 1000", async (step) => {
        await step.until("wrapper", "\n")
        await step.until("pid", "\n")
        step.wrapper.kill("SIGKILL")
        await step.ended
        // This process lives, but was not born then.
        const [, born] = (step.read("wrapper") ?? "").trim().split(" ")
        assert.match(born ?? "", /^\d+$/)
        writeFileSync(join(step.directory, "wrapper"), `${process.pid} ${born}\n`)
        assert.strictEqual((await follow(shell, step)).trailer?.end, "lost")
      }))

    it("whoever waits is woken by the end", () =>
      using("trap 'exit 0' TERM; echo on; while :; do sleep 0.01; done", async (step) => {
        await step.until("out", "on")
        const following = follow(shell, step)
        for (;;) {
          const [follower] = readdirSync(step.directory).filter((name) => name.startsWith("follower."))
          if (follower !== undefined && step.read(follower) !== "") break
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        await runScript(shell, podScripts.signal, [step.directory, step.marker, "TERM"]).ended
        assert.strictEqual((await following).trailer?.end, 0)
      }))

    it("who followed before ends when somebody follows again", () =>
      using('echo on; while [ ! -e "$d/go" ]; do sleep 0.02; done', async (step) => {
        await step.until("out", "on")
        const before = Array.from({ length: 5 }, () => runScript(shell, followScript(step)))
        // One after the other, as connections break.
        const last = follow(shell, step)
        const followers = () => readdirSync(step.directory).filter((name) => name.startsWith("follower."))
        // Only the last one goes on; which it is among those that begin together is nobody's business.
        const all = Promise.all(before.map((one) => one.ended)).then(() => true)
        const again: Array<ReturnType<typeof runScript>> = []
        do again.push(runScript(shell, followScript(step)))
        while (!(await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 500, false))])))
        assert.isAtMost(followers().length, 2)
        writeFileSync(join(step.directory, "go"), "")
        await step.ended
        await Promise.all([last, ...again.map((one) => one.ended)])
      }))

    // It takes the five seconds that such a thing is given.
    it.skipIf(shell.name !== "dash")("something that goes on writing after the step does not keep it from ending", () =>
      using("while :; do echo background; sleep 0.01; done & echo main; exit 6", async (step) => {
        const told = await follow(shell, step)
        assert.strictEqual(told.trailer?.end, 6)
        assert.include(told.stdout, "main\n")
        assert.notStrictEqual(step.members().length, 0)
      })
    )

    it.skipIf(!shell.complete)("what ends a moment after the step is still heard", () =>
      using("(sleep 0.1; echo late; echo late >&2) & echo main", async (step) => {
        const told = await follow(shell, step)
        assert.strictEqual(told.stdout, "main\nlate\n")
        assert.strictEqual(told.stderr, "late\n")
      })
    )

    it("what stays in the background lives on", () =>
      using("sleep 1000 & echo main", async (step) => {
        assert.strictEqual((await follow(shell, step)).stdout, "main\n")
        assert.strictEqual(step.members().length, 1)
      }))

    it("much output comes as it is", () =>
      using("i=0; while [ $i -lt 300 ]; do i=$((i+1)); head -c 100000 /dev/zero; echo line $i; done", async (step) => {
        const ended = await runScript(shell, followScript(step)).ended
        const reader = makeTrailerReader(token, true)
        const output = Buffer.from(reader.push(ended.stdout))
        assert.strictEqual(output.length, 300 * 100_000 + step.read("out")!.replaceAll("\0", "").length)
        assert.strictEqual(reader.trailer?.end, 0)
      }))

    it("the wrapper leaves its user's signals alone, and is hurt by none that is polite", () =>
      using('echo ready; while [ ! -e "$d/go" ]; do sleep 0.02; done; exit 8', async (step) => {
        await step.until("out", "ready")
        for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.kill(step.wrapper.pid ?? 0, signal)
        writeFileSync(join(step.directory, "go"), "")
        assert.strictEqual(await step.code, "8")
      }))

    it("says what the container is", async () => {
      const { code, stdout } = await runScript(shell, podScripts.facts).ended
      assert.strictEqual(code, 0)
      assert.match(stdout.toString(), /^os=Linux\narch=\w+\nlibc=(glibc|musl|unknown)\nid=[\w.-]*\nsetsid=.*\n$/)
    })

    it("quotes whatever there is", async () => {
      const text = "a'b\"c$(id)`id`\\n\n\t*?[x] \u00e9 ''"
      const { stdout } = await runScript(shell, `printf '%s' ${podScripts.quote(text)}`).ended
      assert.strictEqual(stdout.toString(), text)
    })

    it("the supervisor ends at once when it is told to", async () => {
      const { child } = runScript(shell, `${podScripts.supervisor.replace("while :;", "echo up; while :;")}`)
      const exit = new Promise((resolve) => child.on("exit", resolve))
      await new Promise((resolve) => child.stdout.once("data", resolve))
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ")
      child.kill("SIGTERM")
      assert.strictEqual(await exit, 143)
      // In a pod they go with it.
      for (const pid of children) if (pid !== "") process.kill(Number(pid), "SIGKILL")
    })
  })
}
