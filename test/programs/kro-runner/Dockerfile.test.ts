/** The image's definition, its instructions followed in a folder of this machine: with the program as it is shipped, and Node in place of the base. */
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Dockerfile from "jobscope/backends/dockerfile/Dockerfile"

const root = join(import.meta.dirname, "../../..")
const { instructions } = Result.getOrThrow(
  Dockerfile.parse(readFileSync(join(root, "src/programs/kro-runner/Dockerfile"), "utf8"))
)
const folder = mkdtempSync(join(tmpdir(), "jobscope-image-"))
const image = join(folder, "image")
const context = join(folder, "context")
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a build context has, of which the published package is one: the build, the source, the licence. */
beforeAll(() => {
  mkdirSync(context)
  const script = join(root, "scripts/bundle.ts")
  const out = join(context, "dist/kro-runner")
  mkdirSync(out, { recursive: true })
  const program = `import { bundle } from ${JSON.stringify(script)}; await bundle("kro-runner", ${JSON.stringify(out)})`
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" })
  assert.strictEqual(status, 0, stderr)
  cpSync(join(root, "LICENSE"), join(context, "LICENSE"))
  follow()
}, 60_000)

const environment = () =>
  Object.fromEntries(
    instructions.flatMap((one) =>
      one._tag === "Env" ? one.pairs.map(({ name, value }) => [name, value] as const) : []
    )
  )

/** Nothing but what the image has: paths below /opt are the folder's. */
const run = (command: string) => {
  const here = (text: string) => text.replaceAll("/opt/", `${image}/opt/`)
  const variables = Object.entries(environment()).map(([name, value]) => [name, here(value.replace(/^"|"$/g, ""))])
  // Who is not root can give nothing away; the folder is the user's own as it is.
  const script = here(command.replace(/chown \S+ \S+/, "true"))
  return spawnSync("/bin/sh", ["-c", script], {
    encoding: "utf8",
    env: { PATH: `${image}/usr/local/bin:/usr/bin:/bin`, ...Object.fromEntries(variables) }
  })
}

/** To the last instruction, each of which has to work. */
const follow = () => {
  mkdirSync(join(image, "usr/local/bin"), { recursive: true })
  mkdirSync(join(image, "opt"))
  symlinkSync(join(root, "node_modules/.bin/node"), join(image, "usr/local/bin/node"))
  for (const one of instructions) {
    if (one._tag === "Copy") {
      for (const source of one.sources) {
        const target = join(image, one.destination, one.destination.endsWith("/") ? basename(source) : "")
        mkdirSync(dirname(target), { recursive: true })
        cpSync(join(context, source), target)
        if (one.chmod !== undefined) chmodSync(target, Number.parseInt(one.chmod, 8))
      }
    }
    if (one._tag === "Run") {
      assert(one.command._tag === "Shell")
      const { status, stderr } = run(one.command.text)
      assert.strictEqual(status, 0, `${one.command.text}\n${stderr}`)
    }
  }
}

describe("the Dockerfile", () => {
  it("makes an image whose program starts with what was compiled at the build", () => {
    const [made = ""] = readdirSync(join(image, "opt/kar-cache"))
    assert.match(made, /_0_v\d+/, "its time is not in it: layers round it")
    const before = statSync(join(image, "opt/kar-cache", made)).mtimeMs
    const { status, stderr, stdout } = run("/opt/kar --version")
    assert.deepStrictEqual([status, stderr], [0, ""])
    assert.match(stdout, /^kro-runner /)
    assert.deepStrictEqual(readdirSync(join(image, "opt/kar-cache")), [made])
    assert.strictEqual(statSync(join(image, "opt/kar-cache", made)).mtimeMs, before, "it was made again")
  })

  it("starts the program, and as nobody of the host", () => {
    const last = <Tag extends Dockerfile.Instruction["_tag"]>(tag: Tag) =>
      instructions.findLast((one): one is Extract<Dockerfile.Instruction, { readonly _tag: Tag }> => one._tag === tag)
    assert.deepStrictEqual(last("Entrypoint")?.command, { _tag: "Exec", argv: ["/opt/kar"] })
    assert.strictEqual(last("User")?.user, "10001:10001")
    assert.isUndefined(last("Cmd"))
  })
})
