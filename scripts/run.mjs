// Runs a command with the development tools: `node scripts/run.mjs <command> [args]`.
//
// The one file that has to work on a fresh clone: it needs nothing but npm and any Node from 20 on. It installs the
// dependencies when they are missing or are not the ones of package-lock.json, and then runs the command with
// node_modules/.bin first on the PATH, so that `node` is the Node 24 of the npm package `node`, whatever the host has.
//
// `--installed` is for package.json's `prepare`: it records that an install by hand is up to date.
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, "node_modules")
const bin = join(modules, ".bin")
const stamp = join(modules, ".jobscope-lock-hash")

const wanted = () =>
  createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex")
const installed = () => (existsSync(stamp) ? readFileSync(stamp, "utf8") : undefined)

/** @param {string | undefined} first */
const pathWith = (first) => {
  const rest = (process.env.PATH ?? "").split(delimiter).filter((entry) => entry !== bin)
  return (first === undefined ? rest : [first, ...rest]).join(delimiter)
}

const install = () => {
  const why = existsSync(modules) ? "node_modules is not what package-lock.json says" : "no node_modules yet"
  console.error(`run: ${why}, installing with npm ci`)
  // The host's npm and Node: an npm that runs on node_modules/.bin/node would delete itself. Dev dependencies also when
  // NODE_ENV is production, because they are what the command needs.
  const npm = spawnSync("npm", ["ci", "--include=dev", "--loglevel=error", "--no-fund", "--no-audit"], {
    cwd: root,
    env: { ...process.env, PATH: pathWith(undefined) },
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024
  })
  if (npm.error !== undefined || npm.status !== 0) {
    process.stderr.write(`${npm.stdout ?? ""}${npm.stderr ?? ""}`)
    const how = npm.error?.message ?? (npm.signal === null ? `exit code ${npm.status}` : npm.signal)
    console.error(`run: npm ci failed (${how})`)
    process.exit(1)
  }
  if (!existsSync(join(bin, "node"))) {
    console.error("run: npm ci left no node_modules/.bin/node; are install scripts off? `npm rebuild node` makes it")
    process.exit(1)
  }
  writeFileSync(stamp, wanted())
}

/**
 * Does a Ctrl-C of the terminal reach the command without us? The terminal signals the whole foreground process group.
 * Programs count interrupts (the second one stops waiting for the cleanup), so it must not arrive twice.
 */
const inForeground = () => {
  try {
    // After the command's closing parenthesis: state, parent, process group, session, terminal, its foreground group.
    const fields = readFileSync("/proc/self/stat", "utf8")
      .replace(/^.*\) /s, "")
      .split(" ")
    return fields[2] === fields[5]
  } catch {
    return process.stdin.isTTY === true
  }
}

/**
 * @param {string} command
 * @param {ReadonlyArray<string>} args
 */
const run = (command, args) => {
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, PATH: pathWith(bin) } })
  const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])
  /** @type {Map<string, number>} */
  const last = new Map()
  for (const signal of signals) {
    process.on(signal, () => {
      if (signal === "SIGINT" && inForeground()) return
      // One request often arrives several times: npm forwards what `timeout` or a CI agent sent to the group as well.
      const now = performance.now()
      if (now - (last.get(signal) ?? Number.NEGATIVE_INFINITY) < 1000) return
      last.set(signal, now)
      child.kill(signal)
    })
  }
  child.on("error", (error) => {
    console.error(`run: ${command}: ${error.message}`)
    process.exit(127)
  })
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const name of signals) process.removeAllListeners(name)
    process.exitCode = 128 + constants.signals[signal]
    process.kill(process.pid, signal)
    // A signal that this process ignores or blocks: then the number alone has to say it.
    setTimeout(() => process.exit(), 100)
  })
}

const [command, ...args] = process.argv.slice(2)
if (command === undefined) {
  console.error("usage: node scripts/run.mjs <command> [args]")
  process.exit(2)
} else if (command === "--installed") {
  // Not for `npm pack` or `npm install --package-lock-only`, which run `prepare` but install nothing.
  const { npm_command: npm = "", npm_config_package_lock_only: lockOnly } = process.env
  if (["ci", "install"].includes(npm) && lockOnly !== "true") writeFileSync(stamp, wanted())
} else {
  if (installed() !== wanted()) install()
  run(command, args)
}
