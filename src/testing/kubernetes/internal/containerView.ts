/**
 * What a container sees as its file system: this machine's programs and libraries, read only, and directories of its own for all else,
 * with volumes and the image's files in their places. It is made of directories, and of a table of mounts for a mount namespace.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

export interface Mount {
  /** In the container. */
  readonly path: string
  /** On this machine: a directory or a file. */
  readonly source: string
  readonly readOnly: boolean
}

export interface View {
  readonly root: string
  /** For `mount -a -T`. */
  readonly table: string
  /** Where on this machine a directory of the container is, made if it is missing. */
  readonly directory: (path: string) => string
}

export interface ViewOptions {
  /** An empty directory. */
  readonly root: string
  /** Whether the image has a shell and tools: this machine's. Its libraries are there in any case. */
  readonly tools: boolean
  /** Paths and what is there: text, or a file or directory of this machine. */
  readonly files: Readonly<Record<string, string | { readonly source: string }>>
  /** What the kubelet writes into every container. */
  readonly hosts: string
  readonly volumes: ReadonlyArray<Mount>
}

/** With programs, and without. `/nix` is where some machines have all of them. */
const libraries = ["/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/nix"]
const withTools = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/opt", "/nix"]

export const makeView = (options: ViewOptions): View => {
  const { root } = options
  /** What is bound read only, by its path, which is the same here and there. */
  const bound = new Set<string>()
  const local = (path: string) => Path.join(root, path)

  for (const path of options.tools ? withTools : libraries) bind(path)
  bind("/etc")
  for (const path of ["/tmp", "/var/tmp"]) {
    Fs.mkdirSync(local(path), { recursive: true })
    Fs.chmodSync(local(path), 0o1777)
  }
  for (const path of ["/root", "/home", "/run", "/var/log", "/dev", "/proc", "/sys"]) {
    Fs.mkdirSync(local(path), { recursive: true })
  }

  function bind(path: string): void {
    const stat = Fs.lstatSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return
    Fs.mkdirSync(local(Path.dirname(path)), { recursive: true })
    if (stat.isSymbolicLink()) {
      Fs.symlinkSync(Fs.readlinkSync(path), local(path))
      return
    }
    if (stat.isDirectory()) Fs.mkdirSync(local(path))
    else if (stat.isFile()) Fs.writeFileSync(local(path), "")
    else return
    bound.add(path)
  }

  /** Makes a directory that is this machine's one of the container's own, with all that was in it. */
  const open = (path: string): void => {
    bound.delete(path)
    for (const name of Fs.readdirSync(path)) bind(Path.join(path, name))
  }

  const mounts: Array<Mount> = []

  /** Makes a place where something can be mounted, whatever is around it. */
  const place = (path: string, isDirectory: boolean): void => {
    const outer = mounts.findLast((mount) => isWithin(path, mount.path))
    if (outer !== undefined) {
      touch(Path.join(outer.source, Path.relative(outer.path, path)), isDirectory)
      return
    }
    for (;;) {
      const around = [...bound].find((one) => isWithin(path, one))
      if (around === undefined) break
      if (Fs.existsSync(path) && Fs.statSync(path).isDirectory() === isDirectory) return
      open(around)
    }
    touch(local(path), isDirectory)
  }

  const add = (mount: Mount) => {
    // A link of this machine, such as /etc/os-release, is followed: over it nothing can be mounted.
    const path =
      bound.has(mount.path) || ![...bound].some((one) => isWithin(mount.path, one)) ? mount.path : real(mount.path)
    place(path, Fs.statSync(mount.source).isDirectory())
    mounts.push({ ...mount, path })
  }

  const inOrder = options.volumes.toSorted((a, b) => depthOf(a.path) - depthOf(b.path))
  const texts = `${root}.files`
  Fs.mkdirSync(texts, { recursive: true })
  const files: ReadonlyArray<readonly [string, ViewOptions["files"][string]]> = [
    ["/etc/hosts", options.hosts],
    ...Object.entries(options.files)
  ]
  for (const [index, [path, content]] of files.entries()) {
    if (inOrder.some((volume) => isWithin(path, volume.path))) continue
    if (typeof content !== "string") add({ path, source: content.source, readOnly: true })
    else {
      const source = Path.join(texts, String(index))
      Fs.writeFileSync(source, content)
      add({ path, source, readOnly: false })
    }
  }
  for (const volume of inOrder) add(volume)

  const system = [...bound].map((path) => line(path, local(path), "none", "bind,ro,nosuid,nodev"))
  const table = [
    ...system,
    line("/dev", local("/dev"), "none", "rbind"),
    line("/sys", local("/sys"), "none", "rbind"),
    line("proc", local("/proc"), "proc", "nosuid,nodev,noexec"),
    ...mounts.map(({ path, readOnly, source }) =>
      line(source, local(path), "none", readOnly ? "bind,ro,nosuid,nodev" : "bind")
    )
  ]
  return {
    root,
    table: table.join(""),
    directory: (path) => {
      const outer = mounts.findLast((mount) => isWithin(path, mount.path))
      const inside = outer === undefined ? local(path) : Path.join(outer.source, Path.relative(outer.path, path))
      if (![...bound].some((one) => isWithin(path, one))) Fs.mkdirSync(inside, { recursive: true })
      return inside
    }
  }
}

const isWithin = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`)

const depthOf = (path: string): number => path.split("/").filter((part) => part !== "").length

const real = (path: string): string => (Fs.existsSync(path) ? Fs.realpathSync(path) : path)

const touch = (path: string, isDirectory: boolean): void => {
  if (isDirectory) Fs.mkdirSync(path, { recursive: true })
  else if (!Fs.existsSync(path)) {
    Fs.mkdirSync(Path.dirname(path), { recursive: true })
    Fs.writeFileSync(path, "")
  }
}

const line = (source: string, target: string, type: string, options: string): string =>
  `${escaped(source)} ${escaped(target)} ${type} ${options} 0 0\n`

/** As fstab has it. */
const escaped = (path: string): string =>
  path.replace(/[\\ \t\n]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`)
