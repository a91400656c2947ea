/**
 * What `prepare_job` answers: the fields that the Actions runner reads, in the form it needs them in.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Port } from "../../../domain/Container.ts"
import type { EnvironmentFacts } from "../../../domain/JobEnvironment.ts"
import { BackendError, StorageFailed } from "../../../domain/JobError.ts"
import * as Ports from "../../container-options/Ports.ts"

/** @see forJob */
export interface Answer {
  readonly state: object
  readonly hasContainer: boolean
  readonly image: string
  readonly ports: Readonly<Record<string, string>>
  /** In the order of the runner's: it knows them by their position. */
  readonly services: ReadonlyArray<{ readonly image: string; readonly ports: Readonly<Record<string, string>> }>
  readonly isAlpine: boolean
}

/** `isAlpine` decides which Node the runner starts JavaScript actions with; it is required if there is a container. */
export const forJob = ({ hasContainer, image, isAlpine, ports, services, state }: Answer) => ({
  state,
  isAlpine,
  context: {
    // Without a job container the runner does not expect one.
    ...(hasContainer ? { container: { image, ports } } : {}),
    services
  }
})

/**
 * In a pod all containers share one address, where a port is reached as itself. `onRunner`: it has been given another there. `ofNode`: only what
 * takes a port of the node is told, by that port, as GitHub's hooks do.
 */
export const portsOf = (
  ports: ReadonlyArray<Port>,
  reached: "inPod" | "onRunner" | "ofNode" = "inPod"
): Record<string, string> =>
  Object.fromEntries(
    ports
      .filter(({ host }) => reached !== "ofNode" || host !== undefined)
      .map((port) => [
        reached === "ofNode" ? `${port.container}` : Ports.keyOf(port),
        `${reached === "inPod" ? port.container : (port.host ?? port.container)}`
      ])
  )

/**
 * Whether the runner is to take its Nodes for Alpine. It has them for x64 only, and says so itself where it is told `true` elsewhere; with nodes of
 * ours there (`JOBSCOPE_MUSL_NODE_IMAGE`) it must be told `false`.
 */
export const isAlpine = ({ libc }: EnvironmentFacts, arch: string, muslNodes: boolean): boolean =>
  libc === "musl" && !(arch === "arm64" && muslNodes)

const unfinished = ".jobscope"

/** All at once, so that the runner never reads half of it. A runner that wants none gets none. */
export const write = (file: string | undefined, response: object): Effect.Effect<void, BackendError> =>
  file === undefined
    ? Effect.void
    : Effect.try({
        try: () => {
          Fs.writeFileSync(`${file}${unfinished}`, JSON.stringify(response))
          Fs.renameSync(`${file}${unfinished}`, file)
        },
        catch: (cause) => {
          const detail = cause instanceof Error ? cause.message : String(cause)
          return new BackendError({
            reason: new StorageFailed({ operation: "answering the runner", detail, transient: false })
          })
        }
      })

/** Takes away what calls have left that were killed while they answered; `file` is any answer's. */
export const removeUnfinished = (file: string | undefined): Effect.Effect<void> =>
  file === undefined
    ? Effect.void
    : Effect.ignore(
        Effect.try({
          try: () => {
            const directory = Path.dirname(file)
            for (const name of Fs.readdirSync(directory)) {
              if (name.endsWith(unfinished)) Fs.rmSync(Path.join(directory, name), { force: true })
            }
          },
          catch: () => "the runner removes them" as const
        })
      )
