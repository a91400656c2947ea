/** Directories with everything that may be in one, and what a directory looks like, to compare. */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Effect } from "effect"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "jobscope-files-"))),
  (directory) =>
    Effect.sync(() => {
      ChildProcess.execFileSync("chmod", ["-R", "u+rwX", directory])
      Fs.rmSync(directory, { recursive: true, force: true })
    })
)

/** Files with all kinds of names, sizes and modes, links that stay inside, and empty directories. */
export const makeTree = (root: string) => {
  const write = (path: string, content: string | Buffer, mode = 0o644) => {
    const file = Path.join(root, path)
    Fs.mkdirSync(Path.dirname(file), { recursive: true })
    Fs.writeFileSync(file, content)
    Fs.chmodSync(file, mode)
  }
  write("plain.txt", "plain\n")
  write("empty", "")
  write("bin/run.sh", "#!/bin/sh\n", 0o755)
  write("secret", "s", 0o600)
  write("read-only/file", "r", 0o444)
  write("block", Buffer.alloc(512, 7))
  write("almost", Buffer.alloc(511, 8))
  write("large/file", Buffer.alloc(3_000_001, "0123456789"))
  write("-dash", "-")
  write("white  space/tab\tname", "w")
  write(`quo'te"$HOME\`x\`/back\\slash`, "q")
  write("line\nbreak/file\n", "n")
  write("ünï/cødé/日本語/😀.txt", "u")
  write(`${"d".repeat(90)}/${"e".repeat(90)}/short`, "prefix")
  write(`${"l".repeat(120)}.txt`, "long")
  write(`${Array.from({ length: 12 }, (_, index) => `${index}`.repeat(60)).join("/")}/deep`, "deep")
  Fs.mkdirSync(Path.join(root, "none/at/all"), { recursive: true })
  write("closed/inside/file", "c")
  Fs.chmodSync(Path.join(root, "closed/inside"), 0o500)
  Fs.chmodSync(Path.join(root, "closed"), 0o555)
  Fs.symlinkSync("plain.txt", Path.join(root, "link"))
  Fs.symlinkSync("../plain.txt", Path.join(root, "bin/up"))
  Fs.symlinkSync("nowhere", Path.join(root, "dangling"))
  Fs.symlinkSync(`x/${"t".repeat(150)}`, Path.join(root, "long-target"))
  Fs.symlinkSync("large", Path.join(root, "to-directory"))
  Fs.linkSync(Path.join(root, "plain.txt"), Path.join(root, "hard"))
}

/** By path: mode and content, or where a link leads. */
export const contentOf = (root: string): Record<string, string> => {
  const found: Record<string, string> = {}
  const walk = (directory: string) => {
    for (const name of Fs.readdirSync(Path.join(root, directory)).sort()) {
      const path = directory === "" ? name : `${directory}/${name}`
      const full = Path.join(root, path)
      const stats = Fs.lstatSync(full)
      const mode = (stats.mode & 0o777).toString(8)
      if (stats.isSymbolicLink()) found[path] = `-> ${Fs.readlinkSync(full)}`
      else if (stats.isDirectory()) {
        found[path] = `${mode} directory`
        walk(path)
      } else found[path] = `${mode} ${stats.size} ${Fs.readFileSync(full).toString("latin1").slice(0, 40)}`
    }
  }
  walk("")
  return found
}

/** What this user unpacks he may always change. */
export const widened = (content: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(content).map(([path, text]) => [
      path,
      text
        .replace(/^444 /, "644 ")
        .replace(/^555 d/, "755 d")
        .replace(/^500 d/, "700 d")
    ])
  )

/** 10,000 files of a KB in 100 directories. */
export const makeManyFiles = (root: string, count = 10_000) => {
  const content = Buffer.alloc(1024, "x")
  for (let index = 0; index < count; index++) {
    const directory = Path.join(root, `d${index % 100}`)
    if (index < 100) Fs.mkdirSync(directory, { recursive: true })
    Fs.writeFileSync(Path.join(directory, `file-${index}.txt`), content)
  }
}

export const makeFifo = (path: string) => {
  ChildProcess.execFileSync("sh", ["-c", 'mkfifo "$1"', "sh", path])
}
