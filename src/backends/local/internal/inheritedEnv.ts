import * as Process from "node:process"

/**
 * Which variables of this program the job's processes see. `basic` is what programs need to run, and nothing that is likely to be a
 * secret of the embedding program; an array adds names to it.
 */
export type InheritEnv = "basic" | "all" | ReadonlyArray<string>

const basic = new Set([
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LANGUAGE",
  "TZ",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy"
])

/** The variables that a job starts from. */
export const inherited = (
  inherit: InheritEnv,
  own: Readonly<Record<string, string | undefined>> = Process.env
): Record<string, string> => {
  const wanted = (name: string) =>
    inherit === "all" || basic.has(name) || name.startsWith("LC_") || (inherit !== "basic" && inherit.includes(name))
  return Object.fromEntries(
    Object.entries(own).flatMap(([name, value]) => (value !== undefined && wanted(name) ? [[name, value]] : []))
  )
}
