/**
 * Adds to package-lock.json what npm left out of it: `node scripts/complete-lock.ts`, after an `npm install` through a
 * registry that has not the packages of every platform.
 *
 * npm drops an optional dependency that it cannot find from the lock without a word, and from then on `npm ci` refuses
 * the lock ("Missing: ... from lock file"), also where nobody would install that package. All that npm needs to know is
 * the version, which the parent pins, and the platform, which the name says. There is no integrity hash, because nobody
 * has seen the package; an install on that platform through a full registry adds it.
 */
import { readFileSync, writeFileSync } from "node:fs"

interface Entry {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: ReadonlyArray<string>
  readonly cpu?: ReadonlyArray<string>
  readonly libc?: ReadonlyArray<string>
  readonly optionalDependencies?: Record<string, string>
}

const file = new URL("../package-lock.json", import.meta.url)
const lock: { packages: Record<string, Entry> } = JSON.parse(readFileSync(file, "utf8"))
const platform = /-(android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|x64|ia32|ppc64|riscv64|s390x)\b/

const added: Record<string, Entry> = {}
for (const [path, { dev, optionalDependencies }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
    const key = `node_modules/${name}`
    if (key in lock.packages || `${path}/${key}` in lock.packages) continue
    const [, os, cpu] = platform.exec(name) ?? []
    const libc = name.includes("musl") ? "musl" : name.includes("-gnu") ? "glibc" : undefined
    if (os === undefined || cpu === undefined || !/^\d/.test(version)) {
      throw new Error(`${path}: cannot tell version and platform of ${name}@${version}`)
    }
    added[key] = {
      version,
      cpu: [cpu],
      ...(dev === true ? { dev } : {}),
      ...(os === "linux" && libc !== undefined ? { libc: [libc] } : {}),
      optional: true,
      os: [os]
    }
  }
}

const packages = Object.entries({ ...lock.packages, ...added }).sort(([a], [b]) => a.localeCompare(b, "en"))
writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`)
console.log(`${Object.keys(added).length} added`)
