/** One script in a container over one exec: the text goes over stdin, so that nothing of it is in any argv. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import type { ExecProcess } from "../../kubernetes/KubeExec.ts"

export interface Place {
  readonly namespace: string
  readonly pod: string
  readonly container: string
}

/** Starts `sh` with a script. It runs only if all of it arrives: a shell reads a whole function before it runs it. */
export const openScript = Effect.fnUntraced(function* (
  kube: KubeClient["Service"],
  place: Place,
  script: string,
  argv: ReadonlyArray<string> = []
): Effect.fn.Return<ExecProcess, KubeError, Scope.Scope> {
  const process = yield* kube.exec({ ...place, command: ["sh", "-s", "--", ...argv], stdin: true })
  yield* process.write(new TextEncoder().encode(`j() {\n${script}\n}\nj "$@"\nexit\n`))
  return process
})

export interface ScriptResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a script to its end. For scripts that say little. */
export const runScript = (
  kube: KubeClient["Service"],
  place: Place,
  script: string,
  argv?: ReadonlyArray<string>
): Effect.Effect<ScriptResult, KubeError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const process = yield* openScript(kube, place, script, argv)
      const chunks = yield* Stream.runCollect(process.output)
      const textOf = (stream: "stdout" | "stderr") =>
        Buffer.concat(chunks.filter((chunk) => chunk.stream === stream).map(({ bytes }) => bytes)).toString("utf8")
      return { exitCode: yield* process.exitCode, stdout: textOf("stdout"), stderr: textOf("stderr") }
    })
  )
