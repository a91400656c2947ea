import * as Fs from "node:fs"
import * as Process from "node:process"
import type { EnvironmentFacts } from "../../../domain/JobEnvironment.ts"

let known: EnvironmentFacts["libc"] | undefined

/** The C library that programs of this machine are linked to, told by its loader: it is where binaries ask for it. */
export const libc = (): EnvironmentFacts["libc"] => {
  known ??= Process.platform !== "linux" ? "unknown" : hasMuslLoader() ? "musl" : "glibc"
  return known
}

const hasMuslLoader = (): boolean => {
  try {
    const loaders = Fs.readdirSync("/lib").filter((name) => name.startsWith("ld-musl-"))
    // A glibc system may have musl's loader beside its own.
    return loaders.length > 0 && !Fs.existsSync("/lib64") && !Fs.existsSync("/lib/ld-linux-aarch64.so.1")
  } catch {
    return false
  }
}
