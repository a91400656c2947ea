/**
 * The images of a fake cluster: not layers, but what a container of an image has and does.
 *
 * **Details**
 *
 * A container runs this machine's programs, whatever its image is called. What tells images apart: whether there are tools such as `sh` at
 * all, what is run when the pod names no command, files, variables, how long a pull takes, and whether it works.
 */
import type * as Duration from "effect/Duration"

/** @category models */
export interface FakeImage {
  /** What is always run. Default: nothing. */
  readonly entrypoint?: ReadonlyArray<string> | undefined
  /** What is run, or given to the entry point, unless the pod says otherwise. Default: nothing. */
  readonly command?: ReadonlyArray<string> | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Default `/`. */
  readonly workingDir?: string | undefined
  /** Who its processes are; played only if this process is root. Default: root. */
  readonly user?: number | undefined
  /** Whether it has a shell and tools. Default true: those of this machine. */
  readonly tools?: boolean | undefined
  /** Its files by their paths: a text, or a file or directory of this machine. */
  readonly files?: Readonly<Record<string, string | { readonly source: string }>> | undefined
  /** How long a pull takes. Default: no time. */
  readonly pull?: Duration.Input | undefined
  /** With which credentials it can be pulled. Default: none are needed. */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined
}

/** Images by name; a name without a tag stands for all tags. */
export type FakeImages = Readonly<Record<string, FakeImage>>

const osRelease = (id: string, name: string) => ({
  "/etc/os-release": `ID=${id}\nNAME="${name}"\nPRETTY_NAME="${name}"\nVERSION_ID=1\n`
})

/** An image with tools, a shell as its command. */
export const machine: FakeImage = { command: ["sh"] }

/** As `machine`, but it says that it is Alpine. */
export const alpine: FakeImage = { ...machine, files: osRelease("alpine", "Alpine Linux") }

/**
 * An image with one program and the libraries, but no shell: `program` is a file of this machine, and `/app` in the container.
 *
 * @category constructors
 */
export const distroless = (program: string, ...args: ReadonlyArray<string>): FakeImage => ({
  entrypoint: ["/app", ...args],
  tools: false,
  files: { "/app": { source: program } }
})

/**
 * What a fake cluster has if it is not told otherwise.
 *
 * @category constants
 */
export const defaults: FakeImages = {
  alpine,
  busybox: machine,
  debian: machine,
  node: machine,
  ubuntu: { ...machine, files: osRelease("ubuntu", "Ubuntu") },
  "ghcr.io/actions/actions-runner": { ...machine, env: { HOME: "/home/runner" }, workingDir: "/home/runner" }
}

/** The image that a reference names, if there is one. */
export const find = (images: FakeImages, reference: string): FakeImage | undefined => {
  const { repository, version } = parse(reference)
  const exact = Object.entries(images).find(([name]) => {
    const one = parse(name)
    return one.repository === repository && one.version === version
  })
  return (exact ??
    Object.entries(images).find(([name]) => !hasVersion(name) && parse(name).repository === repository))?.[1]
}

/** The whole name: `docker.io/library/alpine:latest`. */
export const fullName = (reference: string): string => {
  const { repository, version } = parse(reference)
  return `${repository}${version}`
}

/** Whether a container runtime can read it: upper case in a repository, for example, it refuses. */
export const isReference = (reference: string): boolean => grammar.test(reference)

const part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*"

const grammar = new RegExp(
  `^(?:[\\w.-]+(?::\\d+)?/)?${part}(?:/${part})*(?::\\w[\\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`
)

const hasVersion = (reference: string) =>
  /(:[\w.-]+|@sha256:[0-9a-f]+)$/.test(reference.slice(reference.lastIndexOf("/") + 1))

const parse = (reference: string): { readonly repository: string; readonly version: string } => {
  const digest = reference.indexOf("@")
  const tag = reference.lastIndexOf(":")
  const end = digest !== -1 ? digest : tag > reference.lastIndexOf("/") ? tag : reference.length
  const repository = reference.slice(0, end).replace(/:[\w.-]+$/, (found) => (digest === -1 ? found : ""))
  const [first = ""] = repository.split("/")
  const hasRegistry = repository.includes("/") && /[.:]|^localhost$/.test(first)
  const path = hasRegistry ? repository : `docker.io/${repository.includes("/") ? "" : "library/"}${repository}`
  return { repository: path, version: end === reference.length ? ":latest" : reference.slice(end) }
}
