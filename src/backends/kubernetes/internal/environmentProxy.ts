/**
 * The proxy that the environment names for a server, by the rules of Go's `net/http`, which kubectl follows.
 *
 * - `HTTPS_PROXY` for https, `HTTP_PROXY` for http; each in capital letters before small ones; `http://` where no scheme is written.
 * - `NO_PROXY`: names (with what is under them; only that, after a dot), addresses, networks (`10.0.0.0/8`), each with a port or without; `*` is all.
 * - What is on this machine is never asked of a proxy.
 */
import * as Net from "node:net"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

interface EnvironmentProxies {
  readonly https: string | undefined
  readonly http: string | undefined
  readonly none: string | undefined
}

const first = (...names: ReadonlyArray<string>) =>
  Effect.map(
    Effect.forEach(names, (name) => Effect.orDie(Config.option(Config.String(name)))),
    (values) => values.map(Option.getOrElse(() => "")).find((value) => value !== "")
  )

/** As the environment is now. */
export const environmentProxy = Effect.fnUntraced(function* (server: URL) {
  return proxyFor(server, {
    https: yield* first("HTTPS_PROXY", "https_proxy"),
    http: yield* first("HTTP_PROXY", "http_proxy"),
    none: yield* first("NO_PROXY", "no_proxy")
  })
})

/** Nothing: directly. */
export const proxyFor = (server: URL, proxies: EnvironmentProxies): string | undefined => {
  const secure = server.protocol === "https:"
  const proxy = secure ? proxies.https : proxies.http
  if (proxy === undefined || proxy === "") return undefined
  const host = server.hostname.replace(/^\[|\]$/g, "").toLowerCase()
  const port = server.port === "" ? (secure ? "443" : "80") : server.port
  if (isHere(host)) return undefined
  const excepted = (proxies.none ?? "").split(",").some((entry) => covers(entry.trim().toLowerCase(), host, port))
  if (excepted) return undefined
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`
}

const isHere = (host: string) => host === "localhost" || host === "::1" || (Net.isIPv4(host) && host.startsWith("127."))

const familyOf = (address: string) => (Net.isIPv6(address) ? "ipv6" : "ipv4")

const covers = (entry: string, host: string, port: string): boolean => {
  if (entry === "") return false
  if (entry === "*") return true
  const network = /^(.*)\/(\d{1,3})$/.exec(entry)
  if (network !== null) {
    const [, address = "", bits = ""] = network
    const size = Number(bits)
    if (Net.isIP(address) === 0 || Net.isIP(host) === 0 || size > (Net.isIPv6(address) ? 128 : 32)) return false
    const list = new Net.BlockList()
    list.addSubnet(address, size, familyOf(address))
    return list.check(host, familyOf(host))
  }
  const { name, port: own } = splitPort(entry)
  if (own !== undefined && own !== port) return false
  if (Net.isIP(name) !== 0) {
    const list = new Net.BlockList()
    list.addAddress(name, familyOf(name))
    return Net.isIP(host) !== 0 && list.check(host, familyOf(host))
  }
  const domain = name.replace(/^\*(?=\.)/, "")
  return domain.startsWith(".") ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`)
}

/** `host`, `host:1`, `::1`, `[::1]`, `[::1]:1` */
const splitPort = (entry: string): { readonly name: string; readonly port: string | undefined } => {
  if (Net.isIPv6(entry)) return { name: entry, port: undefined }
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? []
  return { name: bracketed ?? plain ?? entry, port }
}
