/** What `facts` (podScripts) says, read. */

export interface ContainerFacts {
  readonly os: string
  readonly arch: string
  readonly libc: "glibc" | "musl" | "unknown"
}

/** Architectures by the names that Node and GitHub use. */
const architectures: Readonly<Record<string, string>> = {
  x86_64: "x64",
  amd64: "x64",
  aarch64: "arm64",
  arm64: "arm64",
  armv7l: "arm",
  armv6l: "arm",
  i686: "ia32"
}

export const readFacts = (text: string): ContainerFacts => {
  const values = new Map(
    text.split("\n").map((line): [string, string] => {
      const at = line.indexOf("=")
      return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)]
    })
  )
  const arch = values.get("arch") ?? ""
  const libc = values.get("libc")
  return {
    os: (values.get("os") ?? "").toLowerCase() || "linux",
    arch: architectures[arch] ?? (arch === "" ? "unknown" : arch),
    // A distribution of musl may carry a glibc beside it, never the other way round.
    libc: values.get("id") === "alpine" ? "musl" : libc === "glibc" || libc === "musl" ? libc : "unknown"
  }
}
