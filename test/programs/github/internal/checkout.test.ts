import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { checkout } from "../../../../src/programs/github/internal/checkout.ts"
import { directoryWith } from "../support.ts"

describe("checkout", () => {
  it.live("is a directory of its own, gone with the scope", () =>
    Effect.gen(function* () {
      const workspace = yield* directoryWith({ a: "1", ".gitignore": "ignored", ignored: "2" })
      execFileSync("git", ["init", "-q", workspace])
      const directory = yield* Effect.scoped(
        Effect.tap(checkout(workspace), (directory) =>
          Effect.sync(() => assert.deepStrictEqual(readdirSync(directory).sort(), [".git", ".gitignore", "a"]))
        )
      )
      assert.notStrictEqual(directory, workspace)
      assert.isFalse(existsSync(directory))
      assert.isTrue(existsSync(workspace))
    })
  )

  it.live("outside of a repository is the directory itself", () =>
    Effect.gen(function* () {
      const workspace = yield* directoryWith({ a: "1" })
      assert.strictEqual(yield* Effect.scoped(checkout(workspace)), workspace)
      assert.isTrue(existsSync(workspace))
    })
  )
})
