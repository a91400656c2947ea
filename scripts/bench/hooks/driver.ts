// Runs in a runner's pod, on its Node 20: calls a hook as the runner does, and measures whole processes. Prints one JSON object.
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as https from "node:https"

interface Ran {
  readonly code: number | null
  readonly ms: number
  readonly peak: number
  readonly bytes: number
  readonly text: string
}
interface Called extends Ran {
  readonly requests: number
  readonly response: { readonly state?: { readonly jobPod?: string } }
}
interface Timed {
  readonly ms: number
  readonly peak: number
  readonly requests?: number
}

const {
  bareExec,
  files = 20,
  gigabyte = false,
  hook,
  jobImage,
  mode,
  other,
  only,
  stepImage
} = JSON.parse(process.argv[2] ?? "{}")
const home = "/home/runner"
const work = `${home}/_work`
const temp = `${work}/_temp`
const workspace = `${work}/repo/repo`
const commands = `${temp}/_runner_file_commands`
const responses = `${temp}/_runner_hook_responses`
for (const folder of [
  workspace,
  commands,
  responses,
  `${work}/_actions`,
  `${work}/_tool`,
  `${temp}/_github_home`,
  `${temp}/_github_workflow`
]) {
  fs.mkdirSync(folder, { recursive: true })
}
fs.writeFileSync(`${temp}/_github_workflow/event.json`, "{}")
const many = `${workspace}/files`
fs.rmSync(many, { recursive: true, force: true })
fs.mkdirSync(many, { recursive: true })
for (let at = 0; at < files; at++) {
  const folder = `${many}/${at % 100}`
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(`${folder}/${at}`, "x".repeat(1000))
}

const env = {
  PATH: process.env.PATH,
  HOME: home,
  KUBERNETES_SERVICE_HOST: process.env.KUBERNETES_SERVICE_HOST,
  KUBERNETES_SERVICE_PORT: process.env.KUBERNETES_SERVICE_PORT,
  ACTIONS_RUNNER_POD_NAME: process.env.ACTIONS_RUNNER_POD_NAME,
  ACTIONS_RUNNER_KUBERNETES_NAMESPACE: process.env.ACTIONS_RUNNER_KUBERNETES_NAMESPACE,
  ACTIONS_RUNNER_CONTAINER_HOOKS: hook,
  ACTIONS_RUNNER_IMAGE: process.env.ACTIONS_RUNNER_IMAGE,
  RUNNER_WORKSPACE: `${work}/repo`,
  GITHUB_WORKSPACE: workspace,
  RUNNER_TEMP: temp,
  ...(process.env.ACTIONS_RUNNER_CLAIM_NAME
    ? { ACTIONS_RUNNER_CLAIM_NAME: process.env.ACTIONS_RUNNER_CLAIM_NAME }
    : {}),
  ...(mode === "claim-exec" ? { JOBSCOPE_TRANSPORT: "exec" } : {}),
  ...(process.env.BENCH_DEBUG ? { JOBSCOPE_LOG_LEVEL: "debug" } : {})
}

const peakOf = (pid: number | undefined): number => {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

const run = (argv: ReadonlyArray<string>, stdin: string, more: object = {}): Promise<Ran> =>
  new Promise((resolve) => {
    const before = process.hrtime.bigint()
    const child = spawn(process.execPath, [...argv], { cwd: workspace, env: { ...env, ...more } })
    let peak = 0
    let bytes = 0
    let text = ""
    const watching = setInterval(() => {
      peak = Math.max(peak, peakOf(child.pid))
    }, 10)
    child.stdout.on("data", (chunk) => {
      bytes += chunk.length
      if (text.length < 200000) text += chunk
    })
    child.stderr.on("data", (chunk) => {
      text += chunk
    })
    child.stdin.on("error", () => {})
    child.stdin.end(stdin)
    child.on("close", (code) => {
      clearInterval(watching)
      resolve({ code, ms: Number(process.hrtime.bigint() - before) / 1e6, peak, bytes, text })
    })
  })

let calls = 0
const call = async (
  command: string,
  args: object,
  state: object | null = null,
  as: { readonly hook: string; readonly env: object } = { hook, env: {} }
): Promise<Called> => {
  const responseFile = `${responses}/${calls++}.json`
  fs.writeFileSync(responseFile, "")
  const result = await run([as.hook], `${JSON.stringify({ command, args, responseFile, state })}\n`, as.env)
  if (result.code !== 0) throw new Error(`${command} exited with ${result.code}:\n${result.text}`)
  const text = fs.readFileSync(responseFile, "utf8")
  return {
    ...result,
    requests: (result.text.match(/::debug::(?:GET|POST|DELETE|PATCH|EXEC|WATCH)\b/g) ?? []).length,
    response: text === "" ? {} : JSON.parse(text)
  }
}

const mounts = [
  [work, "/__w"],
  [`${home}/externals`, "/__e", true],
  [temp, "/__w/_temp"],
  [`${work}/_actions`, "/__w/_actions"],
  [`${work}/_tool`, "/__w/_tool"],
  [`${temp}/_github_home`, "/github/home"],
  [`${temp}/_github_workflow`, "/github/workflow"]
].map(([sourceVolumePath, targetVolumePath, readOnly = false]) => ({
  userProvidedValue: null,
  sourceVolumePath,
  targetVolumePath,
  readOnly
}))
const stepMounts = [
  [temp, "/github/runner_temp"],
  [`${temp}/_github_home`, "/github/home"],
  [`${temp}/_github_workflow`, "/github/workflow"],
  [commands, "/github/file_commands"],
  [workspace, "/github/workspace"]
].map(([sourceVolumePath, targetVolumePath]) => ({
  userProvidedValue: null,
  sourceVolumePath,
  targetVolumePath,
  readOnly: false
}))

const prepareArgs = {
  container: {
    image: jobImage,
    dockerfile: null,
    entryPoint: null,
    entryPointArgs: [],
    workingDirectory: "/__w/repo/repo",
    createOptions: null,
    registry: null,
    environmentVariables: { HOME: "/github/home" },
    portMappings: [],
    systemMountVolumes: mounts,
    userMountVolumes: []
  },
  services: []
}

let scripts = 0
const script = (text: string): object => {
  const name = `script-${scripts++}.sh`
  fs.writeFileSync(`${temp}/${name}`, text)
  const output = `set_output_${scripts}`
  fs.writeFileSync(`${commands}/${output}`, "")
  return {
    entryPoint: "sh",
    entryPointArgs: ["-e", `/__w/_temp/${name}`],
    environmentVariables: { GITHUB_OUTPUT: `/__w/_temp/_runner_file_commands/${output}`, CI: "true" },
    prependPath: [],
    workingDirectory: "/__w/repo/repo"
  }
}

const containerArgs = {
  image: stepImage,
  dockerfile: null,
  entryPoint: "sh",
  entryPointArgs: ["-c", '"true"'],
  workingDirectory: "/github/workspace",
  createOptions: null,
  registry: null,
  environmentVariables: { CI: "true", GITHUB_OUTPUT: "/github/file_commands/none" },
  portMappings: [],
  systemMountVolumes: stepMounts,
  userMountVolumes: []
}

const median = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
const summary = (all: ReadonlyArray<Timed>) => ({
  ms: median(all.map(({ ms }) => ms)),
  peak: Math.max(...all.map(({ peak }) => peak)),
  requests: all[0]?.requests ?? 0
})
const times = async (count: number, once: () => Promise<Timed>) => {
  const all: Array<Timed> = []
  for (let at = 0; at < count; at++) all.push(await once())
  return summary(all)
}
/** Several things in turn, so that whatever else the machine does hits all alike. */
const inTurn = async <Name extends string>(rounds: number, what: Record<Name, () => Promise<Timed>>) => {
  const names = Object.keys(what) as Array<Name>
  const took = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Array<Timed>>
  for (let round = 0; round < rounds; round++) for (const name of names) took[name].push(await what[name]())
  return Object.fromEntries(names.map((name) => [name, summary(took[name])])) as Record<
    Name,
    ReturnType<typeof summary>
  >
}

/** A bare pod from its creation until it is seen running, and gone again. */
const api = (
  method: string,
  url: string,
  body?: object
): Promise<{
  readonly status?: { readonly containerStatuses?: ReadonlyArray<{ readonly state?: { readonly running?: object } }> }
}> =>
  new Promise((resolve, reject) => {
    const folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    const request = https.request(
      {
        method,
        host: env.KUBERNETES_SERVICE_HOST,
        port: env.KUBERNETES_SERVICE_PORT,
        path: url,
        ca: fs.readFileSync(`${folder}/ca.crt`),
        headers: {
          authorization: `Bearer ${fs.readFileSync(`${folder}/token`, "utf8")}`,
          "content-type": "application/json"
        }
      },
      (response) => {
        let text = ""
        response.on("data", (chunk) => {
          text += chunk
        })
        response.on("end", () => resolve(JSON.parse(text)))
      }
    )
    request.on("error", reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
const podStart = async (): Promise<Timed> => {
  const pods = `/api/v1/namespaces/${env.ACTIONS_RUNNER_KUBERNETES_NAMESPACE}/pods`
  const name = `bare-${calls++}`
  const before = process.hrtime.bigint()
  await api("POST", pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      containers: [
        { name: "job", image: jobImage, imagePullPolicy: "IfNotPresent", command: ["tail", "-f", "/dev/null"] }
      ]
    }
  })
  for (;;) {
    const pod = await api("GET", `${pods}/${name}`)
    if (pod.status?.containerStatuses?.[0]?.state?.running !== undefined) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const ms = Number(process.hrtime.bigint() - before) / 1e6
  await api("DELETE", `${pods}/${name}?gracePeriodSeconds=0`)
  return { ms, peak: 0 }
}

const steps = async (result: Record<string, unknown>, state: { readonly jobPod?: string }) => {
  const target = JSON.stringify({ namespace: env.ACTIONS_RUNNER_KUBERNETES_NAMESPACE, pod: state.jobPod })
  // The first call of a kind makes the code cache.
  await call("run_script_step", script("true"), state)
  const {
    bare,
    empty,
    script: scripts,
    start
  } = await inTurn(15, {
    empty: () => run(["/tmp/empty.cjs"], ""),
    start: () => run([hook], ""),
    bare: () => run([bareExec, target], ""),
    script: () => call("run_script_step", script("true"), state)
  })
  result.empty = empty.ms
  result.start = start.ms
  result.bareExec = bare.ms
  result.script = scripts.ms
  result.scriptRequests = scripts.requests
  const containers = await times(3, () => call("run_container_step", containerArgs, state))
  result.container = containers.ms
  result.containerRequests = containers.requests
  result.peak = Math.max(Number(result.peak), scripts.peak, containers.peak)
}

/** Two hooks in turn, so that whatever else the machine does hits both alike. The other one believes that it is another runner's. */
const beside = async () => {
  const hooks = [
    { hook, env: {} },
    {
      hook: other,
      env: {
        ACTIONS_RUNNER_POD_NAME: "other",
        ACTIONS_RUNNER_CONTAINER_HOOKS: other,
        ...(mode === "copy" ? {} : { ACTIONS_RUNNER_CLAIM_NAME: "runner-work" })
      }
    }
  ].map((as) => ({
    as,
    state: {} as { readonly jobPod?: string },
    took: { prepare: [], script: [], container: [], cleanup: [] } as Record<string, Array<number>>
  }))
  const each = async (what: string, rounds: number, once: (one: (typeof hooks)[number]) => Promise<Called>) => {
    for (let round = 0; round < rounds; round++) {
      for (const one of hooks) one.took[what]?.push((await once(one)).ms)
    }
  }
  for (let round = 0; round < 3; round++) {
    if (round > 0) await each("cleanup", 1, ({ as, state }) => call("cleanup_job", {}, state, as))
    await each("prepare", 1, async (one) => {
      const called = await call("prepare_job", structuredClone(prepareArgs), null, one.as)
      one.state = called.response.state ?? {}
      return called
    })
  }
  if (only !== "prepare") {
    await each("script", 15, ({ as, state }) => call("run_script_step", script("true"), state, as))
    await each("container", 3, ({ as, state }) => call("run_container_step", containerArgs, state, as))
  }
  await each("cleanup", 1, ({ as, state }) => call("cleanup_job", {}, state, as))
  const [ours, theirs] = hooks.map(({ took }) =>
    Object.fromEntries(Object.entries(took).map(([what, times]) => [what, median(times)]))
  )
  process.stdout.write(`${JSON.stringify({ mode, files, ours, theirs })}\n`)
}

const main = async () => {
  const result: Record<string, unknown> = { mode, files }
  fs.writeFileSync("/tmp/empty.cjs", "")
  result.podStart = (await times(3, podStart)).ms
  const prepared: Array<Called> = []
  const cleanups: Array<Called> = []
  let state: { readonly jobPod?: string } = {}
  for (let at = 0; at < 3; at++) {
    if (at > 0) cleanups.push(await call("cleanup_job", {}, state))
    const called = await call("prepare_job", prepareArgs)
    prepared.push(called)
    state = called.response.state ?? {}
  }
  result.prepare = median(prepared.map(({ ms }) => ms))
  result.prepareRequests = prepared[0]?.requests
  result.peak = Math.max(...prepared.map(({ peak }) => peak))
  if (only !== "prepare") await steps(result, state)
  if (gigabyte) {
    const large = await call("run_script_step", script("head -c 1073741824 /dev/zero | tr '\\0' x"), state)
    result.gigabyte = { ms: large.ms, bytes: large.bytes, peak: large.peak }
  }
  cleanups.push(await call("cleanup_job", {}, state))
  result.cleanup = median(cleanups.map(({ ms }) => ms))
  result.cleanupRequests = cleanups[0]?.requests
  if (process.env.BENCH_DEBUG !== undefined)
    process.stderr.write(
      prepared
        .concat(cleanups)
        .map(({ text }) => text)
        .join("\n---\n")
    )
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

const measured = other === undefined ? main() : beside()
measured.catch((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
