/**
 * `options:` of a job's container and of services: the flags of `docker create`, in terms of the domain.
 *
 * **Details**
 *
 * Understood: `--cpus --memory --memory-reservation --user --env --entrypoint --workdir --hostname --add-host --label --health-* --no-healthcheck
 * --shm-size --tmpfs --read-only --cap-add --cap-drop --privileged --publish`, in Docker's spellings (`--flag=value`, `--flag value`, `-e`, `-it`,
 * `-m512m`). What changes nothing in a job (`--rm`, `--interactive`, `--tty`, `--init`, `--detach`, `--pull`, `--quiet`, `--name`) is skipped.
 * Everything else is a `Problem`, and what that means is the caller's policy.
 */
import type * as Duration from "effect/Duration"
import { ContainerSettings, HealthCheck, type Port, Resources } from "../../domain/Container.ts"
import * as Ports from "./Ports.ts"
import * as Quantities from "./Quantities.ts"
import * as Words from "./Words.ts"

/**
 * What the flags say; what they leave open is left out.
 *
 * @category models
 */
export interface ContainerOptions {
  readonly env: Readonly<Record<string, string>>
  readonly entryPoint?: ReadonlyArray<string>
  readonly user?: string
  readonly workingDirectory?: string
  readonly ports: ReadonlyArray<Port>
  readonly resources?: Resources
  readonly healthCheck?: HealthCheck
  readonly settings?: ContainerSettings
}

/**
 * A flag that is not understood, or has a value that is not: never the value, which may be a secret.
 *
 * @category models
 */
export interface Problem {
  /** As it is written: `--gpus`, `-v`. */
  readonly flag: string
  readonly detail: string
}

/**
 * Reads the text of `options:`.
 *
 * @category decoding
 */
export const parse = (
  text: string
): { readonly options: ContainerOptions; readonly problems: ReadonlyArray<Problem> } => {
  const found = new Found()
  const words = Words.split(text)
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ""
    for (const { flag, value } of flagsOf(word)) {
      const kind = kindOf(flag)
      if (kind === undefined) {
        found.problem(flag, hints[flag] ?? hints[longs[flag] ?? ""] ?? "it is not supported")
        // Its value, if it has one of its own.
        if (value === undefined && at + 1 < words.length && !words[at + 1]?.startsWith("-")) at += 1
        continue
      }
      if (kind === "skipped") continue
      if (kind === "skipped-value") {
        if (value === undefined) at += 1
        continue
      }
      if (typeof kind === "object") {
        const on = value === undefined || /^(?:1|t|true)$/i.test(value)
        if (!on && !/^(?:0|f|false)$/i.test(value ?? "")) found.problem(flag, "its value is neither true nor false")
        else kind.set(found, on)
        continue
      }
      const given = value ?? words[++at]
      if (given === undefined) {
        found.problem(flag, "its value is missing")
        continue
      }
      const wrong = kind(found, given)
      if (wrong !== undefined) found.problem(flag, wrong)
    }
  }
  return { options: found.options(), problems: found.problems }
}

/** What has been found so far. */
class Found {
  readonly problems: Array<Problem> = []
  readonly env: Record<string, string> = {}
  readonly limits: Record<string, string> = {}
  readonly requests: Record<string, string> = {}
  readonly hosts: Record<string, string> = {}
  readonly labels: Record<string, string> = {}
  readonly tmpfs: Record<string, string> = {}
  readonly capAdd: Array<string> = []
  readonly capDrop: Array<string> = []
  readonly ports: Array<Port> = []
  readonly health: { -readonly [Key in keyof HealthCheck]?: HealthCheck[Key] } = {}
  entryPoint: ReadonlyArray<string> | undefined
  user: string | undefined
  workingDirectory: string | undefined
  hostname: string | undefined
  shmSize: string | undefined
  privileged = false
  readOnlyRoot = false

  problem(flag: string, detail: string) {
    this.problems.push({ flag, detail })
  }

  options(): ContainerOptions {
    const { command, ...health } = this.health
    if (command === undefined && Object.keys(health).length > 0) {
      this.problem(
        "--health-cmd",
        "it is missing, and the image's own health check is not known here: ports decide instead"
      )
    }
    const { capAdd, capDrop, hostname, hosts, labels, privileged, readOnlyRoot, shmSize, tmpfs } = this
    const any = [hosts, labels, tmpfs].some((record) => Object.keys(record).length > 0)
    const hasSettings =
      any || privileged || readOnlyRoot || hostname !== undefined || shmSize !== undefined || capAdd.length > 0
    return {
      env: this.env,
      ports: this.ports,
      ...given("entryPoint", this.entryPoint),
      ...given("user", this.user),
      ...given("workingDirectory", this.workingDirectory),
      ...given(
        "resources",
        Object.keys({ ...this.limits, ...this.requests }).length === 0
          ? undefined
          : new Resources({ limits: this.limits, requests: this.requests })
      ),
      ...given("healthCheck", command === undefined ? undefined : new HealthCheck({ ...health, command })),
      ...given(
        "settings",
        hasSettings || capDrop.length > 0
          ? new ContainerSettings({
              hosts,
              labels,
              privileged,
              capAdd,
              capDrop,
              readOnlyRoot,
              tmpfs,
              ...given("hostname", hostname),
              ...given("shmSize", shmSize)
            })
          : undefined
      )
    }
  }
}

const given = <Key extends string, A>(key: Key, value: A | undefined): { [K in Key]?: A } =>
  // The one place where a key that depends on a value meets exactOptionalPropertyTypes.
  value === undefined ? {} : ({ [key]: value } as { [K in Key]: A })

/** Takes the value of a flag; says what is wrong with it. */
type Setter = (found: Found, value: string) => string | undefined
interface Switch {
  readonly set: (found: Found, on: boolean) => void
}
type Kind = Setter | Switch | "skipped" | "skipped-value"

const kindOf = (flag: string): Kind | undefined => {
  const long = flag.startsWith("--") ? flag : longs[flag]
  return long !== undefined && Object.hasOwn(kinds, long) ? kinds[long] : undefined
}

/** The flags that a word holds: one, or several short ones that take no value (`-it`). */
const flagsOf = (word: string): ReadonlyArray<{ readonly flag: string; readonly value?: string }> => {
  if (word.startsWith("--")) {
    const equals = word.indexOf("=")
    return equals < 0 ? [{ flag: word }] : [{ flag: word.slice(0, equals), value: word.slice(equals + 1) }]
  }
  if (!/^-[a-zA-Z]/.test(word)) return [{ flag: word === "" ? '""' : "(a word without a flag)", value: "" }]
  const flags: Array<{ readonly flag: string; readonly value?: string }> = []
  for (let at = 1; at < word.length; at++) {
    const flag = `-${word.charAt(at)}`
    const rest = word.slice(at + 1)
    if (rest.startsWith("=")) return [...flags, { flag, value: rest.slice(1) }]
    const kind = kindOf(flag)
    if (kind === "skipped" || typeof kind === "object") flags.push({ flag })
    else return [...flags, rest === "" ? { flag } : { flag, value: rest }]
  }
  return flags
}

const longs: Record<string, string> = {
  "-a": "--attach",
  "-c": "--cpu-shares",
  "-d": "--detach",
  "-e": "--env",
  "-h": "--hostname",
  "-i": "--interactive",
  "-l": "--label",
  "-m": "--memory",
  "-P": "--publish-all",
  "-p": "--publish",
  "-q": "--quiet",
  "-t": "--tty",
  "-u": "--user",
  "-v": "--volume",
  "-w": "--workdir"
}

const hints: Record<string, string> = {
  "--volume": "it is not supported: use `volumes:`",
  "--mount": "it is not supported: use `volumes:`",
  "--network": "it is not supported: containers of a job share one network",
  "--net": "it is not supported: containers of a job share one network",
  "--network-alias": "it is not supported: services are known by their names",
  "--env-file": "it is not supported: use `env:`",
  "--gpus": "it is not supported: ask for devices as resources, in the pod template"
}

const quantity =
  (set: (found: Found, amount: string) => void): Setter =>
  (found, value) => {
    const amount = Quantities.ofBytes(value)
    if (amount === undefined) return "its value is not a size such as 512m or 2g"
    set(found, amount)
    return undefined
  }

const duration =
  (set: (found: Found, length: Duration.Duration) => void): Setter =>
  (found, value) => {
    const length = Quantities.ofDuration(value)
    if (length === undefined) return "its value is not a duration such as 10s or 1m30s"
    set(found, length)
    return undefined
  }

const text =
  (set: (found: Found, value: string) => void): Setter =>
  (found, value) => {
    if (value === "") return "its value is empty"
    set(found, value)
    return undefined
  }

const capability = (value: string) => value.replace(/^CAP_/i, "").toUpperCase()

/** `A=b`, and what it is called where there is no `=`. */
const pair = (value: string): readonly [name: string, value: string | undefined] => {
  const equals = value.indexOf("=")
  return equals < 0 ? [value, undefined] : [value.slice(0, equals), value.slice(equals + 1)]
}

const kinds: Record<string, Kind> = {
  "--cpus": (found, value) => {
    const cpus = Quantities.ofCpus(value)
    if (cpus === undefined) return "its value is not a number of processors such as 1.5"
    found.limits.cpu = cpus
    return undefined
  },
  "--memory": quantity((found, amount) => {
    found.limits.memory = amount
  }),
  "--memory-reservation": quantity((found, amount) => {
    found.requests.memory = amount
  }),
  "--shm-size": quantity((found, amount) => {
    found.shmSize = amount
  }),
  // Names of users are the image's, which only a container runtime can look up: all but this one.
  "--user": text((found, value) => {
    found.user = value.replace(/^root(?=:|$)/, "0").replace(/:root$/, ":0")
  }),
  "--env": (found, value) => {
    const [name, content] = pair(value)
    if (name === "") return "its value has no name"
    if (content === undefined) {
      return "it names a variable without a value, and variables of the runner are not passed on"
    }
    found.env[name] = content
    return undefined
  },
  "--entrypoint": (found, value) => {
    found.entryPoint = value === "" ? [] : [value]
    return undefined
  },
  "--workdir": text((found, value) => {
    found.workingDirectory = value
  }),
  "--hostname": text((found, value) => {
    found.hostname = value
  }),
  "--add-host": (found, value) => {
    const [, name, address] = /^([^:=]+)[:=]\[?([0-9a-f.:]+)\]?$/i.exec(value) ?? []
    if (name === undefined || address === undefined) return "its value is not <name>:<address>"
    found.hosts[name] = address
    return undefined
  },
  "--label": (found, value) => {
    const [name, content = ""] = pair(value)
    if (name === "") return "its value has no name"
    found.labels[name] = content
    return undefined
  },
  "--health-cmd": text((found, value) => {
    found.health.command = value
  }),
  "--health-interval": duration((found, value) => {
    found.health.interval = value
  }),
  "--health-timeout": duration((found, value) => {
    found.health.timeout = value
  }),
  "--health-start-period": duration((found, value) => {
    found.health.startPeriod = value
  }),
  // How often during the start period: here that is as often as ever.
  "--health-start-interval": "skipped-value",
  "--health-retries": (found, value) => {
    if (!/^[1-9]\d*$/.test(value)) return "its value is not a number above 0"
    found.health.retries = Number(value)
    return undefined
  },
  // The image's own is not looked at anyway.
  "--no-healthcheck": "skipped",
  "--tmpfs": (found, value) => {
    const [path = "", options = ""] = value.split(/:(.*)/s)
    if (!path.startsWith("/")) return "its value is not an absolute path"
    const size = /(?:^|,)size=([^,]+)/.exec(options)?.[1]
    const amount = size === undefined ? "" : Quantities.ofBytes(size)
    if (amount === undefined) return "its size is not one such as 64m"
    found.tmpfs[path] = amount
    return undefined
  },
  "--cap-add": text((found, value) => {
    found.capAdd.push(capability(value))
  }),
  "--cap-drop": text((found, value) => {
    found.capDrop.push(capability(value))
  }),
  "--publish": (found, value) => {
    const ports = Ports.parse(value)
    if (ports === undefined) return "its value is not a port mapping"
    found.ports.push(...ports)
    return undefined
  },
  "--privileged": {
    set: (found, on) => {
      found.privileged = on
    }
  },
  "--read-only": {
    set: (found, on) => {
      found.readOnlyRoot = on
    }
  },
  "--detach": "skipped",
  "--init": "skipped",
  "--interactive": "skipped",
  "--quiet": "skipped",
  "--rm": "skipped",
  "--tty": "skipped",
  "--name": "skipped-value",
  "--pull": "skipped-value"
}
