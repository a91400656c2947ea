/** Probes of containers, made for real. */
import * as Http from "node:http"
import * as Net from "node:net"
import type { V1Probe } from "@kubernetes/client-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Wire } from "../../../backends/kubernetes/KubeResource.ts"
import type { ContainerRecord } from "./podStatus.ts"

type Probe = Wire<V1Probe>

/** Goes on until `told` was called with the same verdict often enough, and then again whenever that changes. */
export const probing = Effect.fnUntraced(function* (
  probe: Probe,
  record: ContainerRecord,
  second: Duration.Duration,
  told: (good: boolean) => Effect.Effect<void>
): Effect.fn.Return<never> {
  const seconds = (count: number) => Duration.times(second, count)
  yield* Effect.sleep(seconds(probe.initialDelaySeconds ?? 0))
  let known: boolean | undefined
  let good = 0
  let bad = 0
  while (true) {
    const passed = yield* Effect.timeoutOrElse(attempt(probe, record), {
      duration: seconds(probe.timeoutSeconds ?? 1),
      orElse: () => Effect.succeed(false)
    })
    good = passed ? good + 1 : 0
    bad = passed ? 0 : bad + 1
    const verdict = good >= (probe.successThreshold ?? 1) ? true : bad >= (probe.failureThreshold ?? 3) ? false : known
    if (verdict !== undefined && verdict !== known) yield* told(verdict)
    known = verdict
    yield* Effect.sleep(seconds(probe.periodSeconds ?? 10))
  }
})

const attempt = ({ exec, httpGet, tcpSocket }: Probe, record: ContainerRecord): Effect.Effect<boolean> => {
  if (exec !== undefined) return runs(exec.command ?? [], record)
  if (httpGet !== undefined) return answers(httpGet, record)
  if (tcpSocket !== undefined) return accepts(tcpSocket.host ?? "127.0.0.1", portOf(tcpSocket.port, record))
  return Effect.succeed(true)
}

const runs = (command: ReadonlyArray<string>, { env, group, process, user, workingDir }: ContainerRecord) =>
  Effect.callback<boolean>((resume) => {
    if (process === undefined) return resume(Effect.succeed(false))
    const child = process.exec({ command, env, workingDir, user, group, stdin: false })
    child.stdout?.resume()
    child.stderr?.resume()
    child.once("error", () => resume(Effect.succeed(false)))
    child.once("close", (code) => resume(Effect.succeed(code === 0)))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const accepts = (host: string, port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = Net.connect(port, host)
    const tell = (good: boolean) => () => {
      socket.destroy()
      resume(Effect.succeed(good))
    }
    socket.once("connect", tell(true))
    socket.on("error", tell(false))
    return Effect.sync(() => socket.destroy())
  })

const answers = (get: NonNullable<Probe["httpGet"]>, record: ContainerRecord) =>
  Effect.callback<boolean>((resume) => {
    const headers = Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value]))
    const request = Http.get(
      { host: get.host ?? "127.0.0.1", port: portOf(get.port, record), path: get.path ?? "/", headers, agent: false },
      ({ statusCode = 0 }) => {
        request.destroy()
        resume(Effect.succeed(statusCode >= 200 && statusCode < 400))
      }
    )
    request.on("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => request.destroy())
  })

/** A number, or the name of one of the container's ports. */
const portOf = (port: unknown, { spec }: ContainerRecord): number =>
  typeof port === "number" ? port : (spec.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port))
