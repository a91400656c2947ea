/**
 * Every environment variable that the hook looks at, in one table: what is read, what docs/hooks.md says, and what a wrong value is warned
 * with come from here.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Quantities from "../../container-options/Quantities.ts"

/** A variable, in all its spellings. */
export interface Variable<A> {
  /** The first is ours to recommend. */
  readonly names: readonly [string, ...ReadonlyArray<string>]
  /** What it may be, for texts. */
  readonly values: string
  /** For the documentation; `""` where there is none. */
  readonly default: string
  readonly meaning: string
  /** Nothing for a value that cannot be used. */
  readonly parse: (text: string) => A | undefined
}

const text = (text: string) => text
const flag = (text: string) =>
  /^(?:true|1|yes|on)$/i.test(text) ? true : /^(?:false|0|no|off)$/i.test(text) ? false : undefined
const duration = (text: string) =>
  /^\d+$/.test(text) ? Duration.seconds(Number(text)) : Quantities.ofDuration(text.replaceAll(" ", ""))
const list = (text: string) =>
  text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== "")
const pairs = (items: ReadonlyArray<string>): Readonly<Record<string, string>> | undefined =>
  items.length > 0 && items.every((item) => /^\s*[^=\s]+\s*=/.test(item))
    ? Object.fromEntries(
        items.map((item) => [item.slice(0, item.indexOf("=")).trim(), item.slice(item.indexOf("=") + 1)])
      )
    : undefined
const oneOf =
  <const Choice extends string>(...choices: ReadonlyArray<Choice>) =>
  (text: string) =>
    choices.find((choice) => choice === text)

const variable = <A>(
  names: readonly [string, ...ReadonlyArray<string>],
  values: string,
  fallback: string,
  parse: Variable<A>["parse"],
  meaning: string
): Variable<A> => ({ names, values, default: fallback, parse, meaning })

/** What deviates from GitHub's own hooks, and can be had as there. */
export const deviations = ["template", "host-ports", "home"] as const

/** @see HookConfig */
export const variables = {
  podName: variable(
    ["ACTIONS_RUNNER_POD_NAME"],
    "a name",
    "",
    text,
    "The runner's own pod. Required; Actions Runner Controller sets it."
  ),
  namespace: variable(
    ["ACTIONS_RUNNER_KUBERNETES_NAMESPACE"],
    "a name",
    "the service account's, or the context's",
    text,
    "Where the pods go."
  ),
  claimName: variable(
    ["ACTIONS_RUNNER_CLAIM_NAME"],
    "a name",
    "what the runner's pod has mounted",
    text,
    "The claim that holds the runner's work directory. Only needed where the runner's pod does not tell."
  ),
  hookTemplate: variable(
    ["ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"],
    "a path",
    "",
    text,
    "The pod template: a YAML file that is laid over every pod."
  ),
  image: variable(
    ["ACTIONS_RUNNER_IMAGE"],
    "an image",
    "ghcr.io/actions/actions-runner:latest",
    text,
    "Without a claim: where pods get the runner's `externals` from."
  ),
  prepareTimeout: variable(
    ["ACTIONS_RUNNER_PREPARE_JOB_TIMEOUT_SECONDS"],
    "seconds above 0",
    "600",
    (text) => (/^[1-9]\d*$/.test(text) ? Duration.seconds(Number(text)) : undefined),
    "How long the pod of a job, or of a container step, may take until it runs."
  ),
  rwo: variable(
    ["ACTIONS_RUNNER_HOOK_RWO", "HOOK_RWO"],
    "true or false",
    "true",
    flag,
    "With a claim: pods must be on the runner's node. `false`, for claims that many nodes can mount: they are there if there is room."
  ),
  useScheduler: variable(
    ["ACTIONS_RUNNER_USE_KUBE_SCHEDULER", "USE_KUBE_SCHEDULER"],
    "true or false",
    "true",
    flag,
    "`false`: with a claim, pods are put on the runner's node without asking the scheduler, past its taints and the room it has."
  ),
  disableScheduler: variable(
    ["ACTIONS_RUNNER_DISABLE_KUBE_SCHEDULER", "DISABLE_KUBE_SCHEDULER"],
    "true or false",
    "false",
    flag,
    "The same, the other way round."
  ),
  backend: variable(
    ["JOBSCOPE_BACKEND"],
    "pod or kro",
    "pod",
    oneOf("pod", "kro"),
    "What makes the environments of jobs: the hook, pods as a workflow describes them; or [KRO](kro.md#environments-for-steps), whatever a ResourceGraphDefinition describes."
  ),
  rgd: variable(
    ["JOBSCOPE_RGD"],
    "a name",
    "",
    text,
    "kro: the ResourceGraphDefinition that a job gets an instance of."
  ),
  rgdLabels: variable(
    ["JOBSCOPE_RGD_LABEL"],
    "KEY=VALUE, with commas or lines between several",
    "",
    (text) => pairs(list(text)),
    "kro: in place of its name, labels that only this ResourceGraphDefinition has."
  ),
  rgdValues: variable(
    ["JOBSCOPE_RGD_VALUE"],
    "FIELD=VALUE, a line each",
    "",
    (text) => pairs(text.split("\n").filter((line) => line.trim() !== "")),
    "kro: fields of the instance's spec."
  ),
  sharing: variable(
    ["JOBSCOPE_SHARING"],
    "auto, claim or copy",
    "auto",
    oneOf("auto", "claim", "copy"),
    "How files get into pods: by the claim that the runner's pod has mounted, or copied. `auto` looks at that pod; with kro it is `copy`."
  ),
  transport: variable(
    ["JOBSCOPE_TRANSPORT"],
    "auto, volume or exec",
    "auto",
    oneOf("auto", "volume", "exec"),
    "How steps and their output travel: through the claim, without any call of the API, or by exec. `auto` tries the claim first."
  ),
  returned: variable(
    ["JOBSCOPE_RETURNED_FILES"],
    "globs, with commas or lines between them",
    "action manifests, and the lock files that `hashFiles` is used with",
    list,
    "Without a claim: which files of the workspace come back to the runner after each step, relative to the workspace. A first item `+` adds to the default."
  ),
  imagePullGrace: variable(
    ["JOBSCOPE_IMAGE_PULL_GRACE"],
    "a duration such as 30s",
    "30s",
    duration,
    "How long an image that cannot be pulled is waited for, counted from the first failure."
  ),
  scheduleGrace: variable(
    ["JOBSCOPE_SCHEDULE_GRACE"],
    "a duration such as 5m",
    "as long as the pod may take",
    duration,
    "How long a pod that no node takes is waited for."
  ),
  deadline: variable(
    ["JOBSCOPE_JOB_DEADLINE"],
    "a duration such as 6h",
    "120h",
    duration,
    "After it Kubernetes ends the pod of a job by itself."
  ),
  allowPrivileged: variable(
    ["JOBSCOPE_ALLOW_PRIVILEGED"],
    "true or false",
    "false",
    flag,
    "Workflows may ask for `--privileged` and `--cap-add` in `options:`. The pod template always may."
  ),
  unknownOptions: variable(
    ["JOBSCOPE_UNKNOWN_OPTIONS"],
    "warn or error",
    "warn",
    oneOf("warn", "error"),
    "What a flag in `options:` is that has no meaning here."
  ),
  strict: variable(
    ["JOBSCOPE_STRICT"],
    `some of ${deviations.join(", ")}`,
    "",
    (text) => {
      const items = list(text)
      const known = items.flatMap((item) => oneOf(...deviations)(item) ?? [])
      return known.length === items.length ? known : undefined
    },
    "Behave exactly as GitHub's hooks where this one knows better, see [migration](migration.md)."
  ),
  dockerfile: variable(
    ["ACTIONS_RUNNER_HOOK_DOCKERFILE"],
    "auto, inline, buildah, buildkit or off",
    "auto",
    oneOf("auto", "inline", "buildah", "buildkit", "off"),
    "What runs [actions with a Dockerfile](dockerfile-actions.md). `auto`: BuildKit or buildah, if one is set up, else inline, which needs nothing."
  ),
  toolsImage: variable(
    ["ACTIONS_RUNNER_HOOK_TOOLS_IMAGE"],
    "an image with a static busybox",
    "docker.io/library/busybox:musl",
    text,
    "Inline: where base images without a shell get core utilities from."
  ),
  imageConfig: variable(
    ["ACTIONS_RUNNER_HOOK_IMAGE_CONFIG"],
    "whenNeeded, always or never",
    "whenNeeded",
    oneOf("whenNeeded", "always", "never"),
    "Inline: when registries are asked for the entry point, user and variables of base images."
  ),
  buildahImage: variable(
    ["ACTIONS_RUNNER_HOOK_BUILDAH_IMAGE"],
    "an image with buildah",
    "",
    text,
    "Sets up buildah: one unprivileged pod builds the image and runs it."
  ),
  buildCacheClaim: variable(
    ["ACTIONS_RUNNER_HOOK_BUILD_CACHE_CLAIM"],
    "a name",
    "",
    text,
    "buildah: a claim that keeps layers between steps. Local or block storage, and only for builds that trust each other."
  ),
  buildAuthSecret: variable(
    ["ACTIONS_RUNNER_HOOK_BUILD_AUTH_SECRET"],
    "a name",
    "the pull secrets of the job's pod",
    text,
    "buildah: a Secret of type `kubernetes.io/dockerconfigjson` for base images."
  ),
  buildSeccomp: variable(
    ["ACTIONS_RUNNER_HOOK_BUILD_SECCOMP"],
    "unconfined or localhost/<profile>",
    "the pod's",
    (text) =>
      text === "unconfined" ? text : /^localhost\/.+$/.test(text) ? (text as `localhost/${string}`) : undefined,
    "buildah: a seccomp profile that allows `unshare`."
  ),
  buildkitAddress: variable(
    ["ACTIONS_RUNNER_HOOK_BUILDKIT_ADDR"],
    "an address such as tcp://buildkitd.ci:1234",
    "",
    text,
    "Sets up BuildKit: a daemon that builds and pushes."
  ),
  buildkitTls: variable(
    ["ACTIONS_RUNNER_HOOK_BUILDKIT_TLS_DIR"],
    "a path",
    "",
    text,
    "BuildKit: a directory with `ca.pem`, `cert.pem` and `key.pem`. Without it nothing is encrypted."
  ),
  buildkitRepository: variable(
    ["ACTIONS_RUNNER_HOOK_BUILDKIT_REPOSITORY"],
    "a repository such as registry.ci:5000/actions",
    "",
    text,
    "BuildKit: where it pushes to, as it calls it. Required with an address."
  ),
  buildkitPullRepository: variable(
    ["ACTIONS_RUNNER_HOOK_BUILDKIT_PULL_REPOSITORY"],
    "a repository",
    "the same",
    text,
    "BuildKit: the same, as the nodes call it."
  ),
  muslNodeImage: variable(
    ["JOBSCOPE_MUSL_NODE_IMAGE"],
    "an image with {version} in it",
    "",
    text,
    "On arm64: an image of Node for Alpine, for example `docker.io/library/node:{version}-alpine`. With it JavaScript actions run in Alpine containers there."
  ),
  logLevel: variable(
    ["JOBSCOPE_LOG_LEVEL"],
    "error, warn, info or debug",
    "info, and debug when the runner's step debugging is on",
    oneOf("error", "warn", "info", "debug"),
    "How much the hook says about itself."
  )
} satisfies Record<string, Variable<unknown>>

/** Variables of GitHub's hooks that are known, and without effect here. */
export const withoutEffect: ReadonlyArray<{ readonly names: ReadonlyArray<string>; readonly why: string }> = [
  {
    names: ["ACTIONS_RUNNER_HEARTBEAT_PERIOD_MS", "ACTIONS_RUNNER_HEARTBEAT_DEADLINE_MS"],
    why: "Connections are always watched, and a step outlives them."
  },
  {
    names: ["ACTIONS_RUNNER_COPY_VERIFY_ENABLED", "ACTIONS_RUNNER_COPY_VERIFY_RETRIES"],
    why: "A copy is complete, or it is an error."
  },
  {
    names: ["ACTIONS_RUNNER_JOB_NAMESPACE", "ACTIONS_RUNNER_REQUIRE_SAME_NODE"],
    why: "Set by the old controller, and read by no hook."
  },
  {
    names: ["ACTIONS_RUNNER_CONTAINER_HOOKS", "ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER"],
    why: "They are for the runner."
  }
]

/** What is read before the hook itself is: by the loader in front of it. */
export const ofLoader: Omit<Variable<never>, "parse"> = {
  names: ["JOBSCOPE_CODE_CACHE"],
  values: "a directory, or off",
  default: "`jobscope-code-<uid>` in $TMPDIR or /tmp",
  meaning: "Where what Node has compiled of the hook is kept, so that the next call starts faster."
}

type Values = { readonly [Key in keyof typeof variables]: ReturnType<(typeof variables)[Key]["parse"]> }

/** What the variables say; what they leave open is undefined. */
export interface HookConfig extends Omit<Values, "podName"> {
  readonly podName: string
  /** The runner's directories, as this process sees them. */
  readonly paths: RunnerPaths
  readonly debug: boolean
}

/** @see HookConfig */
export interface RunnerPaths {
  /** `_work`. */
  readonly work: string
  readonly temp: string
  /** `_work/<repository>/<repository>`. */
  readonly workspace: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the variables; the failure names the one that is missing. */
export const read = (
  env: Environment
): Result.Result<{ readonly config: HookConfig; readonly warnings: ReadonlyArray<string> }, string> => {
  const warnings: Array<string> = []
  const values = Object.fromEntries(
    Object.entries(variables).map(([key, { default: fallback, names, parse, values }]) => {
      const name = names.find((name) => (env[name] ?? "").trim() !== "")
      if (name === undefined) return [key, undefined]
      const value = parse((env[name] ?? "").trim())
      if (value === undefined) {
        warnings.push(`${name} is neither ${values.replace(" or ", " nor ")}: it counts as not set (${fallback}).`)
      }
      return [key, value]
    })
    // Each value is what its own parse gave.
  ) as Values
  const { podName } = values
  if (podName === undefined) return Result.fail("ACTIONS_RUNNER_POD_NAME")
  const paths = pathsOf(env)
  if (paths === undefined) return Result.fail("RUNNER_WORKSPACE")
  return Result.succeed({ config: { ...values, podName, paths, debug: env.RUNNER_DEBUG === "1" }, warnings })
}

/** `_work` is where all that the runner tells is below. */
const pathsOf = (env: Environment): RunnerPaths | undefined => {
  const set = (name: string) => {
    const value = env[name]?.replace(/\/+$/, "")
    return value === undefined || value === "" ? undefined : value
  }
  const parent = (path: string | undefined) => path?.slice(0, Math.max(path.lastIndexOf("/"), 0))
  const workspace = set("GITHUB_WORKSPACE")
  const work = parent(set("RUNNER_WORKSPACE")) ?? parent(set("RUNNER_TEMP")) ?? parent(parent(workspace))
  return work === undefined || work === ""
    ? undefined
    : { work, temp: set("RUNNER_TEMP") ?? `${work}/_temp`, workspace }
}

/** The table of docs/hooks.md. */
export const renderTable = (): string =>
  [
    "| Variable | Value | Default | Meaning |",
    "| --- | --- | --- | --- |",
    ...[...Object.values(variables), ofLoader].map(
      ({ default: fallback, meaning, names, values }) =>
        `| ${names.map((name) => `\`${name}\``).join(", ")} | ${values} | ${fallback} | ${meaning} |`
    ),
    ...withoutEffect.map(
      ({ names, why }) => `| ${names.map((name) => `\`${name}\``).join(", ")} | | | No effect. ${why} |`
    )
  ].join("\n")
