/**
 * Port mappings as workflows write them: `80`, `8080:80`, `53:53/udp`, `127.0.0.1:5432:5432`, `3000-3002:3000-3002`.
 */
import { Port } from "../../domain/Container.ts"

/**
 * The ports of one mapping, one for each port of a range; nothing if it cannot be read.
 *
 * **Details**
 *
 * The address of the host is dropped: a job has no other host than its own environment. Protocols are tcp and udp.
 *
 * @category decoding
 */
export const parse = (mapping: string): ReadonlyArray<Port> | undefined => {
  const match =
    /^(?:(?:\[[0-9a-f:.%]*\]|[^:[\]]*):(?=[^:]*:))?(?:(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:\/([a-z]+))?$/i.exec(
      mapping.trim()
    )
  const container = range(match?.[2])
  const protocol = (match?.[3] ?? "tcp").toLowerCase()
  if (match === null || container === undefined || (protocol !== "tcp" && protocol !== "udp")) return undefined
  if (match[1] === undefined) return container.map((port) => new Port({ container: port, protocol }))
  const host = range(match[1])
  // Docker allows a range of host ports for one port, of which it takes the first that is free.
  if (host === undefined || (host.length !== container.length && container.length > 1)) return undefined
  return container.map((port, index) => new Port({ container: port, host: host[index] ?? 0, protocol }))
}

/**
 * How `job.services.<id>.ports` names a port.
 *
 * @category getters
 */
export const keyOf = ({ container, protocol }: Port): string =>
  protocol === "tcp" ? `${container}` : `${container}/${protocol}`

const range = (text: string | undefined): ReadonlyArray<number> | undefined => {
  const [first, last] = (text ?? "").split("-").map(Number)
  const end = last ?? first
  if (text === undefined || first === undefined || end === undefined) return undefined
  if (first < 1 || end > 65535 || end < first) return undefined
  return Array.from({ length: end - first + 1 }, (_, index) => first + index)
}
