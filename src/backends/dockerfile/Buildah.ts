/**
 * The builder that builds and runs in one unprivileged pod: buildah, no daemon and no registry.
 *
 * **Details**
 *
 * The step's container is the builder image; the action runs in a chroot inside of it, with the mounts of the step mounted once more. The
 * pod needs three capabilities and user namespaces, hence a seccomp profile that allows `unshare`: the pod's default must not be
 * `RuntimeDefault`, or `seccomp` must name one that does.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { RegistryCredentials } from "../../domain/Container.ts"
import type { BuildContext } from "./BuildContext.ts"
import * as ImageReference from "./ImageReference.ts"
import { isExportable, quote } from "./internal/shellText.ts"
import { type LogStyle, plainLog } from "./LogStyle.ts"
import type { Refusal } from "./Refusal.ts"
import type { Entering, PlanFile, PlanVolume, Security, StepPlan } from "./StepPlan.ts"

/** @category options */
export interface Options {
  /** The builder image: it has `buildah` and `sh`. */
  readonly image: string
  /** A claim that keeps layers from one step to the next. It must be a local or block volume, and only of builds that trust each other. */
  readonly cacheClaim?: string | undefined
  /** A Secret of type `kubernetes.io/dockerconfigjson`, for base images. Left out, `credentials`. */
  readonly authSecret?: string | undefined
  readonly credentials?: ReadonlyArray<RegistryCredentials> | undefined
  /** Left out, the pod's. */
  readonly seccomp?: "unconfined" | `localhost/${string}` | undefined
  /** In place of the Dockerfile's, whose CMD is then dropped, too. */
  readonly entryPoint?: ReadonlyArray<string> | undefined
  /** In place of CMD, where there are any. */
  readonly args?: ReadonlyArray<string> | undefined
  readonly log?: LogStyle | undefined
  /** Where the container sees the plan's files. Default `/__jobscope/build`. */
  readonly filesPath?: string | undefined
}

/**
 * Plans a step.
 *
 * @category constructors
 */
export const plan = Effect.fnUntraced(function* (
  context: BuildContext,
  options: Options
): Effect.fn.Return<StepPlan, Refusal> {
  const files = options.filesPath ?? "/__jobscope/build"
  const entries = yield* context.entries({ name: "", kind: "directory", path: "" }, { line: 0, text: "" })
  const volumes: Array<PlanVolume> = [
    { name: "build-files", path: files, from: { _tag: "Files" } },
    {
      name: "build-store",
      path: storage,
      from: options.cacheClaim === undefined ? { _tag: "Empty" } : { _tag: "Claim", claim: options.cacheClaim }
    }
  ]
  if (options.authSecret !== undefined) {
    volumes.push({ name: "build-auth", path: authDirectory, from: { _tag: "Secret", secret: options.authSecret } })
  }
  const { credentials = [] } = options
  return {
    builder: "buildah",
    image: options.image,
    command: ["/bin/sh", `${files}/main`],
    env: {
      BUILDAH_ISOLATION: "chroot",
      STORAGE_DRIVER: "overlay",
      ...(options.authSecret !== undefined
        ? { REGISTRY_AUTH_FILE: `${authDirectory}/.dockerconfigjson` }
        : credentials.length > 0
          ? { REGISTRY_AUTH_FILE: `${files}/auth.json` }
          : {})
    },
    security: securityOf(options.seccomp),
    before: [],
    beside: [],
    volumes,
    files: [
      { path: "main", mode: 0o644, content: { _tag: "Text", text: mainScript(files, options) } },
      // Not that of the context: .dockerignore may leave it out.
      { path: "Dockerfile", mode: 0o644, content: { _tag: "Text", text: yield* context.dockerfile } },
      ...(options.authSecret !== undefined || credentials.length === 0
        ? []
        : [{ path: "auth.json", mode: 0o644, content: { _tag: "Text", text: authFile(credentials) } } as const]),
      ...entries.map(
        (entry): PlanFile => ({
          path: entry.path === "" ? "context" : `context/${entry.path}`,
          mode: entry.path === "" ? 0o755 : entry.mode,
          content: { _tag: "Entry", entry, at: { line: 0, text: "" } }
        })
      )
    ],
    enter: (entering) => [
      { path: "mounts", mode: 0o644, content: { _tag: "Text", text: mountsOf(entering) } },
      { path: "enter", mode: 0o644, content: { _tag: "Text", text: enterScript(entering) } },
      { path: "config", mode: 0o644, content: { _tag: "Text", text: configScript(entering) } }
    ]
  }
})

const storage = "/var/lib/containers"
const authDirectory = "/__jobscope/auth"

/** The least that worked, tried on a cluster: see docs/dockerfile-actions.md. */
const securityOf = (seccomp: Options["seccomp"]): Security => ({
  runAsUser: 0,
  runAsNonRoot: false,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"], add: ["SETUID", "SETGID", "SETFCAP"] },
  ...(seccomp === undefined
    ? {}
    : {
        seccompProfile:
          seccomp === "unconfined"
            ? ({ type: "Unconfined" } as const)
            : ({ type: "Localhost", localhostProfile: seccomp.slice("localhost/".length) } as const)
      })
})

/** As `docker login` writes it. The first of a registry counts. */
const authFile = (credentials: ReadonlyArray<RegistryCredentials>): string =>
  JSON.stringify({
    auths: Object.fromEntries(
      [...credentials].reverse().map(({ password, server, username }) => {
        const auth = Buffer.from(`${username}:${Redacted.value(password)}`).toString("base64")
        return [ImageReference.canonicalHost(server), { auth }]
      })
    )
  })

/** What the step's own mounts are, for the chroot: one path a line. */
const mountsOf = ({ mounts = [] }: Entering): string => mounts.map((mount) => `${mount}\n`).join("")

const mainScript = (files: string, { args = [], entryPoint, log = plainLog }: Options): string => {
  const own = entryPoint !== undefined && entryPoint.length > 0
  const say = (lines: ReadonlyArray<string>) =>
    lines.length === 0 ? ":" : `printf '%s\\n' ${lines.map(quote).join(" ")}`
  // Its words are not known here: a mark is replaced by them.
  const mark = "JOBSCOPE-TITLE"
  const group = log.open(mark).map((line) => `'${line.replaceAll("'", `'\\''`)}'`.replace(mark, `'"$title"'`))
  return `
files=${files}
# The action may leave processes that do not hear of the end of the builder.
trap 'kill -TERM -1 2>/dev/null; sleep 1; exit 143' TERM INT HUP
opened=
close() { if [ -n "$opened" ]; then ${say(log.close)}; opened=; fi; }
show() {
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      "STEP "* | "["*"] STEP "*)
        close
        title=\${line#*STEP } title=\${title#*: }
        printf '%s\\n' ${group.length === 0 ? '"$title"' : group.join(" ")}
        opened=1 ;;
      *"unshare(CLONE_NEWUSER)"*)
        printf '%s\\n' "$line"
        echo "The builder pod may not create user namespaces (seccomp RuntimeDefault?). Administrator: set ACTIONS_RUNNER_HOOK_BUILD_SECCOMP=localhost/<profile>, or use the inline or buildkit builder." ;;
      *) printf '%s\\n' "$line" ;;
    esac
  done
  close
}
# What .dockerignore leaves out is not there.
{ buildah bud --format docker --layers --ignorefile /dev/null -f "$files/Dockerfile" -t action "$files/context" </dev/null 2>&1; echo $? >/tmp/jobscope-built; } | show &
wait $!
read -r code </tmp/jobscope-built
if [ "$code" != 0 ]; then exit "$code"; fi
# In a chroot, what a RUN leaves running outlives it; in a build of Docker's it does not.
if [ $$ = 1 ]; then kill -KILL -1 2>/dev/null; fi
container=$(buildah from --pull-never action) || exit 125
of_image() { buildah inspect --type image --format "{{range .OCIv1.Config.$1}}{{println .}}{{end}}" action; }
set --
${own ? `set -- "$@" ${[...entryPoint, ...args].map(quote).join(" ")}` : imageArgv(args)}
# buildah hands output on itself, and has been seen to lose the end of it: the action writes past it.
output=/tmp/jobscope-output
mkfifo -m 666 $output
relay=
if buildah run "$container" -- /bin/sh -c : 2>/dev/null; then
  cat <$output &
  relay=$!
  set -- -v "$files/enter:$files/enter" -v $output:$output "$container" -- /bin/sh "$files/enter" "$@"
else
  # An image without a shell.
  . "$files/config"
  set -- "$container" -- "$@"
fi
while IFS= read -r mount; do set -- -v "$mount:$mount" "$@"; done <"$files/mounts"
buildah run "$@" </dev/null 2>/tmp/jobscope-errors &
wait $!
code=$?
# What is left running may hold it open.
i=0
while [ -n "$relay" ] && kill -0 "$relay" 2>/dev/null && [ $i -lt 20 ]; do i=$((i + 1)); sleep 0.05; done
grep -v -e '^subprocess exited with status' -e '^Error: exit status' /tmp/jobscope-errors >&2
exit $code
`
}

/** ENTRYPOINT and CMD are what the image says when it is built, base images and all. */
const imageArgv = (args: ReadonlyArray<string>): string => `
words() { while IFS= read -r word; do if [ -n "$word" ]; then printf '%s\\n' "$word"; fi; done; }
of_image Entrypoint | words >/tmp/jobscope-argv
${args.length > 0 ? ":" : "of_image Cmd | words >>/tmp/jobscope-argv"}
while IFS= read -r word; do set -- "$@" "$word"; done </tmp/jobscope-argv
${args.length > 0 ? `set -- "$@" ${args.map(quote).join(" ")}` : ":"}
if [ $# = 0 ]; then echo "Neither the Dockerfile nor its base image has an ENTRYPOINT or a CMD" >&2; exit 125; fi`

/** Runs in the action's own file system. */
const enterScript = ({ env, workingDirectory }: Entering): string => {
  const all = Object.entries(env)
  const others = all.filter(([name]) => !isExportable(name))
  return [
    "exec >/tmp/jobscope-output 2>&1",
    ...all.flatMap(([name, value]) => (isExportable(name) ? [`export ${name}=${quote(value)}`] : [])),
    ...(workingDirectory === undefined ? [] : [`cd ${quote(workingDirectory)} || exit 126`]),
    "unset OLDPWD",
    `exec ${others.length === 0 ? "" : `env -- ${others.map(([name, value]) => quote(`${name}=${value}`)).join(" ")} `}"$@"`,
    ""
  ].join("\n")
}

/** The same for an image in which no shell can read it. */
const configScript = ({ env, workingDirectory }: Entering): string =>
  [
    "buildah config",
    ...Object.entries(env).map(([name, value]) => `--env ${quote(`${name}=${value}`)}`),
    ...(workingDirectory === undefined ? [] : [`--workingdir ${quote(workingDirectory)}`]),
    '"$container"\n'
  ].join(" ")
