/** The program as it is shipped, as processes against a fake cluster. */
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { FakeKubernetes } from "jobscope/testing"
import { bundled } from "../../../support/bundled.ts"

const root = join(import.meta.dirname, "../../../..")
const folder = mkdtempSync(join(tmpdir(), "jobscope-kro-runner-"))

/** For `beforeAll`. */
export const build = (): void => {
  bundled("kro-runner")
  mkdirSync(join(folder, "cache"), { mode: 0o700 })
}

/** For `afterAll`. */
export const remove = (): void => rmSync(folder, { recursive: true, force: true })

export interface Program {
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** 137 where it was killed. */
  readonly exitCode: Effect.Effect<number>
  readonly said: () => string
  readonly says: (text: string) => Effect.Effect<void>
}

let started = 0

/** Starts it as the user `runner`; it is killed when the scope closes. */
export const start = Effect.fnUntraced(function* (env: Readonly<Record<string, string>> = {}) {
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  const rules = [{ group: "*", resource: "*", verbs: ["*"] }]
  const kubeconfig = join(folder, `kubeconfig-${started++}`)
  writeFileSync(kubeconfig, yield* kubernetes.kubeconfig(kubernetes.accessAs({ user: "runner", rules })), {
    mode: 0o600
  })
  let text = ""
  let code: number | undefined
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(join(root, "node_modules/.bin/node"), [join(bundled("kro-runner"), "index.js")], {
        env: {
          PATH: process.env.PATH,
          JOBSCOPE_CODE_CACHE: join(folder, "cache"),
          KUBECONFIG: kubeconfig,
          RUNNER_NAME: "r",
          ACTIONS_RUNNER_INPUT_JITCONFIG: "the-jit",
          KAR_LOG_LEVEL: "debug",
          ...env
        },
        stdio: ["ignore", "ignore", "pipe"]
      })
    ),
    (running) => Effect.sync(() => running.kill("SIGKILL"))
  )
  child.stderr.setEncoding("utf8").on("data", (data) => {
    text += data
  })
  child.on("close", (ended, signal) => {
    code = signal === null ? (ended ?? -1) : 137
  })
  const program: Program = {
    kill: (signal) => Effect.sync(() => child.kill(signal)),
    exitCode: Effect.andThen(
      eventually("the program ends", () => code !== undefined),
      Effect.sync(() => code ?? -1)
    ),
    said: () => text,
    says: (wanted) => eventually(`it says ${wanted}`, () => text.includes(wanted))
  }
  return program
})

export const eventually = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.repeat(Effect.delay(Effect.sync(holds), "5 millis"), { until: (held) => held }).pipe(
    Effect.timeoutOrElse({ duration: "25 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) }),
    Effect.asVoid
  )
