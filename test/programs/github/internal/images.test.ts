import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as MemoryBackend from "../../../../src/backends/memory/MemoryBackend.ts"
import { imageFor } from "../../../../src/programs/github/internal/images.ts"
import type * as RunOptions from "../../../../src/programs/github/RunOptions.ts"
import { onDisk, read, runFile } from "../support.ts"

describe("the image of a job without a container", () => {
  const images = { "ubuntu-latest": "exact", "ubuntu-*": "ubuntu", "*": "any", "self-hosted": "" }
  it.each([
    [["ubuntu-latest"], "exact"],
    [["Ubuntu-Latest"], "exact"],
    [["ubuntu-24.04"], "ubuntu"],
    [["linux", "ubuntu-latest"], "exact"],
    [["windows-latest"], "any"],
    [["self-hosted"], undefined],
    [["xubuntu-latest"], "any"],
    [[], undefined]
  ])("for %j is %s", (labels, image) => {
    assert.strictEqual(imageFor(images, labels), image)
  })

  it("is none where nothing is known", () => {
    assert.isUndefined(imageFor({}, ["ubuntu-latest"]))
  })
})

describe("a backend where every job needs an image", () => {
  const backend = (ran = new Set<string>()) =>
    MemoryBackend.layerTest({
      capabilities: { hostScripts: false },
      environment: (spec) => {
        ran.add(`${spec.name}: ${spec.container?.image}`)
        return undefined
      }
    })

  /** The images that its jobs run in, by job; or what it says. */
  const ran = (text: string, images?: RunOptions.Options["images"], files: Readonly<Record<string, string>> = {}) => {
    const jobs = new Set<string>()
    return onDisk(Effect.flatMap(read(text, files), (file) => runFile(file, { images }))).pipe(
      Effect.scoped,
      Effect.map(({ result }) => {
        assert.strictEqual(result.conclusion, "success")
        return [...jobs]
      }),
      Effect.catchTag("WorkflowInvalid", ({ diagnostics }) => {
        assert.strictEqual(jobs.size, 0)
        return Effect.succeed(
          diagnostics.map(({ column, hint, line, message }) => `${line}:${column} ${message}. ${hint}`)
        )
      }),
      Effect.provide(backend(jobs), { local: true })
    )
  }

  const matrix = `on: push
jobs:
  a:
    runs-on: \${{ matrix.os }}
    strategy: { matrix: { os: [ubuntu-latest, [self-hosted, big], { group: g, labels: gpu }] } }
    steps: [{ run: "true" }]
  b:
    runs-on: ubuntu-latest
    container: own
    steps: [{ run: "true" }]
`

  it.effect("takes it from what the job runs on", () =>
    Effect.gen(function* () {
      const images = yield* ran(matrix, { "ubuntu-*": "ubuntu", big: "big", gpu: "gpu" })
      assert.sameMembers(images, [
        "a (ubuntu-latest): ubuntu",
        "a (self-hosted, big): big",
        "a (g, gpu): gpu",
        "b: own"
      ])
    })
  )

  it.effect("says at its place what has none, before anything is started", () =>
    Effect.gen(function* () {
      const hint = (label: string) => `Give it a \`container\`, or say which image it runs in: --image ${label}=IMAGE.`
      const none = 'The memory backend runs jobs in images: the job "a" has no `container`, and no image is known for'
      assert.deepStrictEqual(yield* ran(matrix), [`4:14 ${none} ubuntu-latest. ${hint("ubuntu-latest")}`])
      assert.deepStrictEqual(yield* ran(matrix, { "ubuntu-latest": "u" }), [
        `4:14 ${none} self-hosted, big. ${hint("self-hosted")}`
      ])
      assert.deepStrictEqual(yield* ran(matrix, { "*": "" }), [`4:14 ${none} ubuntu-latest. ${hint("ubuntu-latest")}`])
    })
  )

  it.effect("says it when the job's time has come, where it is not known before", () =>
    Effect.gen(function* () {
      const text = `on: push
jobs:
  a:
    runs-on: x
    outputs: { os: "\${{ steps.s.outputs.os }}" }
    steps: [{ id: s, run: "true" }]
  b:
    needs: a
    runs-on: \${{ needs.a.outputs.os || 'late' }}
    steps: [{ run: "true" }]
  c:
    runs-on: x
    container: \${{ github.job == 'c' && '' }}
    steps: [{ run: "true" }]
`
      assert.sameMembers(yield* ran(text, { x: "one", late: "two" }), ["a: one", "b: two", "c: one"])
      const { result } = yield* Effect.scoped(
        onDisk(Effect.flatMap(read(text), (file) => runFile(file, { images: { x: "one" } })))
      ).pipe(Effect.provide(backend(), { local: true }))
      const b = result.runs.find(({ job }) => job === "b")
      assert.strictEqual(b?.conclusion, "error")
      assert.include(b?.error?.message, 'ci.yml:9:14: the job "b" has no `container`, and no image is known for late')
    })
  )

  const action = (runs: string) => `name: A\nruns: ${runs}\n`
  const services = "on: push\njobs:\n  a:\n    runs-on: x\n    services: { db: redis }\n    steps:\n"
  const checkout = "      - uses: actions/checkout@v4\n"

  it.effect("asks for none where there is nothing to run in it", () =>
    Effect.gen(function* () {
      const docker = action("{ using: docker, image: docker://b }")
      const uses = "      - uses: docker://a\n      - uses: ./d\n"
      assert.deepStrictEqual(yield* ran(services + checkout + uses, undefined, { "d/action.yml": docker }), [
        "a: undefined"
      ])
    })
  )

  it.effect.each([
    "{ using: node20, main: a.js }",
    "{ using: composite, steps: [{ run: a, shell: sh }] }",
    "{ using: composite, steps: [{ uses: ./n }] }"
  ])("sees that an action runs there: %s", (runs) =>
    Effect.gen(function* () {
      const files = { "d/action.yml": action(runs), "n/action.yml": action("{ using: node20, main: a.js }") }
      const [said] = yield* ran(`${services}${checkout}      - uses: ./d\n`, {}, files)
      assert.include(said, "4:14 The memory backend runs jobs in images")
    })
  )
})
