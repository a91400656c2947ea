/** What becomes of a step's streams on the way: the two have nothing to do with each other, and either may lose its end. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Stream } from "effect"
import type { KubeClient } from "../../../src/backends/kubernetes/KubeClient.ts"
import { makeExecTransport } from "../../../src/backends/pod/internal/execTransport.ts"

type Frame = readonly ["stdout" | "stderr", string]

/** Connections that bring these frames; `#` stands for the step's token. */
const pod = (connections: ReadonlyArray<ReadonlyArray<Frame>>) => {
  let connection = 0
  const exec = () =>
    Effect.sync(() => {
      const frames = connections[connection++] ?? []
      let token = ""
      return {
        write: (bytes: Uint8Array) =>
          Effect.sync(() => {
            const script = Buffer.from(bytes).toString()
            const at = script.indexOf("\u001e")
            token = script.slice(at, at + 33)
          }),
        output: Stream.suspend(() =>
          Stream.fromIterable(
            frames.map(([stream, text]) => ({ stream, bytes: Buffer.from(text.replaceAll("#", token)) }))
          )
        ),
        exitCode: Effect.succeed(0)
      }
    })
  return {
    kube: { exec } as unknown as KubeClient["Service"],
    made: () => connection
  }
}

const run = Effect.fnUntraced(function* (connections: ReadonlyArray<ReadonlyArray<Frame>>) {
  const { kube, made } = pod(connections)
  const none: Effect.Effect<undefined> = Effect.undefined
  const transport = makeExecTransport(kube, {
    namespace: "n",
    pod: "p",
    container: "c",
    stateDirectory: "/__jobscope",
    whyLost: none,
    nowLost: none
  })
  const step = yield* transport.start({
    id: "step",
    main: "",
    files: [],
    collect: [],
    merged: false,
    stopGrace: Duration.seconds(1),
    uploads: [],
    returning: ""
  })
  const chunks = yield* Stream.runCollect(
    Stream.map(step.output, ({ bytes, stream }) => [stream, Buffer.from(bytes).toString()] as const)
  )
  const textOf = (wanted: string) => chunks.flatMap(([stream, text]) => (stream === wanted ? [text] : [])).join("")
  return { stdout: textOf("stdout"), stderr: textOf("stderr"), exitCode: yield* step.exitCode, connections: made() }
}, Effect.scoped)

const end = "# exit 3\n# end\n"

describe("a step over exec", () => {
  it.live("has its stderr, also when that overtakes what says that the step has started", () =>
    Effect.gen(function* () {
      const ended = yield* run([
        [
          ["stderr", "sh: something of the shell's own\n"],
          ["stderr", "# started\nonly"],
          ["stderr", end],
          ["stdout", "# started\nout"],
          ["stdout", end]
        ]
      ])
      assert.deepStrictEqual(ended, { stdout: "out", stderr: "only", exitCode: 3, connections: 1 })
    })
  )

  it.live("is asked again for the end of a stream that has not come", () =>
    Effect.gen(function* () {
      const ended = yield* run([
        [
          ["stdout", `# started\nout${end}`],
          ["stderr", "# started\non"]
        ],
        [
          ["stdout", end],
          ["stderr", `ly${end}`]
        ]
      ])
      assert.deepStrictEqual(ended, { stdout: "out", stderr: "only", exitCode: 3, connections: 2 })
    })
  )
})
