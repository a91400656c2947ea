/**
 * Services of a job without a container, at `localhost` on the runner, as with Docker: steps run there, and the services in a pod.
 *
 * A process of its own listens on the runner and passes connections on to the pod; it outlives the hook call that starts it, and ends with
 * `cleanup_job`. The runner, too, ends what a job has left behind.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { BackendError, ProvisionFailed } from "../../../domain/JobError.ts"

/** One port of a service. `host` 0 is any that is free. */
interface Forwarded {
  readonly container: number
  readonly host: number
}

/** The process that listens, for whoever ends it. */
export const Listener = Schema.Struct({ pid: Schema.Int })

const Ports = Schema.Array(Schema.Int)

/** The first argument of a process that only forwards. */
const mode = "--forward"

/** Where it says who it is, for a cleanup that has no state. */
const fileIn = (directory: string) => Path.join(directory, "listener")

/** Starts listening; gives the ports on the runner, in the order of those that were asked for. `directory` is for what it has to say later. */
export const start = (
  program: string,
  directory: string,
  address: string,
  forwarded: ReadonlyArray<Forwarded>
): Effect.Effect<{ readonly listener: typeof Listener.Type; readonly ports: ReadonlyArray<number> }, BackendError> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [program, mode, JSON.stringify({ address, directory, forwarded })], {
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "ipc"]
    })
    const failed = (detail: string) => {
      child.kill("SIGKILL")
      resume(Effect.fail(new BackendError({ reason: new ProvisionFailed({ detail, transient: false }) })))
    }
    child.on("error", (cause) => failed(`the ports of services could not be forwarded: ${cause.message}`))
    child.on("exit", () => failed("the ports of services could not be forwarded"))
    child.on("message", (message) => {
      if (!Schema.is(Ports)(message)) {
        failed(`the ports of services could not be forwarded: ${String(message)}`)
        return
      }
      child.removeAllListeners()
      child.disconnect()
      child.unref()
      resume(Effect.succeed({ listener: { pid: child.pid ?? 0 }, ports: message }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Ends it, if it is still that process. */
export const stop = ({ pid }: typeof Listener.Type): Effect.Effect<void> =>
  Effect.ignore(
    Effect.try({
      try: () => {
        if (Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(mode)) process.kill(pid, "SIGKILL")
      },
      catch: () => "gone" as const
    })
  )

/** Ends one whose hook was killed before it could tell of it. */
export const stopIn = (directory: string): Effect.Effect<void> =>
  Effect.try({
    try: () => Number(Fs.readFileSync(fileIn(directory), "utf8")),
    catch: () => "there is none" as const
  }).pipe(
    Effect.flatMap((pid) => stop({ pid })),
    Effect.ignore
  )

const Work = Schema.fromJsonString(
  Schema.Struct({
    address: Schema.String,
    directory: Schema.String,
    forwarded: Schema.Array(Schema.Struct({ container: Schema.Int, host: Schema.Int }))
  })
)

/** The other side: what this process has to do if it was started to forward. */
export const work = (argv: ReadonlyArray<string>): (() => void) | undefined => {
  if (argv[2] !== mode) return undefined
  const { address, directory, forwarded } = Schema.decodeUnknownSync(Work)(argv[3])
  return () => {
    Fs.mkdirSync(directory, { recursive: true, mode: 0o711 })
    Fs.writeFileSync(fileIn(directory), String(process.pid))
    serve(address, forwarded)
  }
}

const serve = (address: string, forwarded: ReadonlyArray<Forwarded>) => {
  const ports: Array<number> = []
  const answer = (message: string | ReadonlyArray<number>) => {
    // Nobody is there any more to whom it could be of use.
    if (!process.connected) process.exit(1)
    process.send?.(message)
    if (typeof message === "string") process.exit(1)
  }
  for (const [index, { container, host }] of forwarded.entries()) {
    const accept = (client: Net.Socket) => connect(client, address, container)
    const server = Net.createServer({ allowHalfOpen: true }, accept)
    server.on("error", (error) => answer(`port ${host} of the runner: ${error.message}`))
    server.listen(host, "127.0.0.1", () => {
      const bound = server.address()
      const port = typeof bound === "object" && bound !== null ? bound.port : host
      ports[index] = port
      // `localhost` may mean this one first; where there is no IPv6, nobody misses it.
      Net.createServer({ allowHalfOpen: true }, accept)
        .on("error", () => {})
        .listen(port, "::1")
      if (Object.keys(ports).length === forwarded.length) answer(ports)
    })
  }
}

/** Each end tells the other of its end, and of its death. */
const connect = (client: Net.Socket, host: string, port: number) => {
  const service = Net.connect({ host, port, allowHalfOpen: true })
  client.pipe(service)
  service.pipe(client)
  client.on("error", () => service.destroy())
  service.on("error", () => client.destroy())
  client.on("close", () => service.destroy())
  service.on("close", () => client.destroySoon())
}
