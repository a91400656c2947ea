import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { version } from "../../src/programs/version.ts"

const read = (file: string) => JSON.parse(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8"))
const manifest = read("package.json")
const lock = read("package-lock.json")
const dev: Record<string, string> = manifest.devDependencies

describe("package.json", () => {
  it("pins what the project is developed with to exact versions", () => {
    for (const [name, version] of Object.entries(dev)) {
      assert.match(version, /^\d+\.\d+\.\d+(?:-[\w.]+)?$/, name)
      assert.strictEqual(lock.packages[`node_modules/${name}`].version, version, name)
    }
  })

  it("leaves Effect to the application, so that it has one", () => {
    assert.deepStrictEqual(manifest.peerDependencies, {
      "@effect/platform-node": "^4.1.0",
      "@effect/vitest": "^4.0.5",
      "@kubernetes/client-node": "^2.0.1",
      effect: "^4.1.0",
      vitest: "^5.1.1"
    })
    // Only for what not every application uses: clusters, and `jobscope/testing`.
    assert.deepStrictEqual(manifest.peerDependenciesMeta, {
      "@effect/vitest": { optional: true },
      "@kubernetes/client-node": { optional: true },
      vitest: { optional: true }
    })
    const own = Object.keys(manifest.dependencies ?? {})
    assert.deepStrictEqual(
      own.filter((name) => name === "effect" || name.startsWith("@effect/")),
      []
    )
  })

  it("is developed with the oldest versions that the peer ranges allow", () => {
    for (const [name, range] of Object.entries<string>(manifest.peerDependencies)) {
      assert.strictEqual(`^${dev[name]}`, range, name)
    }
  })

  it("is the version that the programs print", () => {
    assert.strictEqual(version, manifest.version)
  })

  it("has one version of Effect installed", () => {
    const copies = Object.keys(lock.packages).filter((path) => /(?:^|\/)node_modules\/effect$/.test(path))
    assert.deepStrictEqual(copies, ["node_modules/effect"])
  })

  it("has no side effects, a licence and a Node it is made for", () => {
    assert.deepStrictEqual(manifest.sideEffects, [])
    assert.strictEqual(manifest.license, "Apache-2.0")
    assert.strictEqual(manifest.engines.node, ">=22.19")
    assert.strictEqual(manifest.type, "module")
  })

  it("looks for the source first, then for types, then for code", () => {
    for (const [path, target] of Object.entries<Record<string, string> | string | null>(manifest.exports)) {
      if (target === null || typeof target === "string") continue
      assert.deepStrictEqual(Object.keys(target), ["@jobscope/source", "types", "default"], path)
    }
  })
})

describe("package-lock.json", () => {
  it("names no registry", () => {
    for (const [path, entry] of Object.entries<{ resolved?: string }>(lock.packages)) {
      assert.isUndefined(entry.resolved, path)
    }
  })

  it("has the packages of every platform, without which npm ci refuses it", () => {
    const missing: Array<string> = []
    for (const [path, entry] of Object.entries<{ optionalDependencies?: Record<string, string> }>(lock.packages)) {
      for (const name of Object.keys(entry.optionalDependencies ?? {})) {
        const key = `node_modules/${name}`
        if (!(key in lock.packages || `${path}/${key}` in lock.packages)) missing.push(name)
      }
    }
    assert.deepStrictEqual(missing, [], "`node scripts/complete-lock.ts` adds them")
  })
})
