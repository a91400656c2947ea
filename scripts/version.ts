/**
 * Makes a version of what the changesets say: `npm run version-packages`. Writes CHANGELOG.md, the version in package.json and its lock,
 * and the one that the programs print.
 */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

const root = dirname(import.meta.dirname)
const run = (command: string, ...args: ReadonlyArray<string>) =>
  execFileSync(command, args, { cwd: root, stdio: "inherit" })

run("changeset", "version")
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const file = join(root, "src/programs/version.ts")
writeFileSync(file, readFileSync(file, "utf8").replace(/version = ".*"/, `version = "${version}"`))
run("npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund")
run("node", "scripts/complete-lock.ts")
