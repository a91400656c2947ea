import * as Process from "node:process"
import * as EnvVars from "../../../domain/EnvVars.ts"
import type { JobSpec } from "../../../domain/Job.ts"
import type { Step } from "../../../domain/Step.ts"
import { markerVariable } from "./processTable.ts"

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

/** What a step's process gets, later layers first in rank: inherited, the job's, the step's, its files' paths, our marker. */
export const variablesOf = (
  base: Readonly<Record<string, string>>,
  spec: JobSpec,
  step: Extract<Step, { readonly _tag: "ScriptStep" }>,
  options: { readonly temp: string; readonly filePath: (name: string) => string; readonly marker: string }
): Record<string, string> => {
  const env: Record<string, string> = {
    ...base,
    TMPDIR: options.temp,
    ...EnvVars.reveal(spec.env, step.env),
    ...Object.fromEntries(
      step.files.flatMap(({ name, variable }) => (variable === undefined ? [] : [[variable, options.filePath(name)]]))
    ),
    [markerVariable]: options.marker
  }
  if (step.prependPath.length > 0) {
    env.PATH = [...step.prependPath, ...(env.PATH === undefined || env.PATH === "" ? [] : [env.PATH])].join(":")
  }
  return env
}
