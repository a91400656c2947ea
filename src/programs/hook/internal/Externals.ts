/**
 * The runner's `externals`, the Nodes that JavaScript actions run on, in job pods at `/__e`.
 *
 * With a claim they are copied to it while the pod starts, unless they are there already. Without one an init container of the runner's image
 * brings them.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Options } from "../../../backends/pod/PodOptions.ts"
import { BackendError, StorageFailed } from "../../../domain/JobError.ts"

type InitContainer = NonNullable<Options["initContainers"]>[number]
type Volume = NonNullable<Options["volumes"]>[number]

/** The volume that the init container fills. */
export const volumeName = "externals"

/** Only those for one kind of C library: the others cannot run there, and are as large. */
export type Kind = "glibc" | "musl"

const kindOf = (entry: string): Kind => (entry.endsWith("_alpine") ? "musl" : "glibc")

/** Nodes for Alpine, which would double what is copied where a template does not bring its own. */
export const alpineIn = (externals: string): ReadonlyArray<string> =>
  ["20", "24"].map((version) => Path.join(externals, `node${version}_alpine`))

/** Which of two copies is newer nobody can tell by the time of the copy: only equal ones are left alone. */
const markOf = (source: string, entry: string): string => {
  const node = Path.join(source, entry, "bin/node")
  const { mtimeMs, size } = Fs.statSync(Fs.existsSync(node) ? node : Path.join(source, entry))
  return `${size} ${Math.trunc(mtimeMs)}\n`
}

/**
 * Copies what is missing or another version. Pods may have `target` mounted already, and other runners may do the same: each entry appears
 * at once. `making`, on the same file system, is where it is made: what a killed process leaves there is found by whoever cleans up.
 */
export const copy = Effect.fnUntraced(function* (
  source: string,
  target: string,
  kind: Kind,
  making: string
): Effect.fn.Return<ReadonlyArray<string>, BackendError> {
  const entries = yield* attempt(source, () => {
    Fs.mkdirSync(target, { recursive: true })
    Fs.mkdirSync(making, { recursive: true, mode: 0o711 })
    return Fs.readdirSync(source).filter((entry) => !entry.startsWith(".") && kindOf(entry) === kind)
  })
  const copied = yield* Effect.forEach(
    entries,
    Effect.fnUntraced(function* (entry) {
      const mark = yield* attempt(source, () => markOf(source, entry))
      const markFile = Path.join(target, `.${entry}.jobscope`)
      const place = Path.join(target, entry)
      const isThere = () =>
        Fs.existsSync(place) && Fs.existsSync(markFile) && Fs.readFileSync(markFile, "utf8") === mark
      if (yield* attempt(target, isThere)) return []
      const made = Path.join(making, `${entry}.${process.pid}`)
      yield* Effect.onError(run("cp", ["-a", Path.join(source, entry), made]), () => remove(made))
      yield* attempt(target, () => {
        const old = `${made}.old`
        if (Fs.existsSync(place)) Fs.renameSync(place, old)
        Fs.renameSync(made, place)
        Fs.writeFileSync(markFile, mark)
        Fs.rmSync(old, { recursive: true, force: true })
      })
      return [entry]
    }),
    { concurrency: 2 }
  )
  return copied.flat()
})

const attempt = <A>(place: string, body: () => A) =>
  Effect.try({ try: body, catch: (cause) => failed(place, cause instanceof Error ? cause.message : String(cause)) })

const failed = (place: string, detail: string) => {
  const operation = `bringing the runner's externals to ${place}`
  return new BackendError({ reason: new StorageFailed({ operation, detail, transient: false }) })
}

const remove = (path: string) => Effect.ignore(attempt(path, () => Fs.rmSync(path, { recursive: true, force: true })))

/** Node's own recursive copy takes twice as long, and all of the event loop. */
const run = (command: string, args: ReadonlyArray<string>): Effect.Effect<void, BackendError> =>
  Effect.callback((resume) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] })
    let said = ""
    child.stderr.on("data", (chunk) => {
      said = `${said}${chunk}`.slice(-1000)
    })
    child.on("error", (cause) => resume(Effect.fail(failed(args.at(-1) ?? "", cause.message))))
    child.on("close", (code) =>
      resume(
        code === 0
          ? Effect.void
          : Effect.fail(failed(args.at(-1) ?? "", said.trim() || `${command} ended with ${code}`))
      )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Brings the externals of an image: the runner's own, or one of its kind. */
export const initContainers = (image: string, source: string): ReadonlyArray<InitContainer> => [
  {
    name: "fs-init",
    image,
    command: ["sh", "-c", `cp -a "$1"/* /mnt/externals/`, "sh", source],
    // The runner's own user, by number: where pods must not be root, a name is not believed.
    securityContext: { runAsUser: 1001, runAsGroup: 1001 },
    volumeMounts: [{ name: volumeName, mountPath: "/mnt/externals" }]
  }
]

/** @see initContainers */
export const volumes: ReadonlyArray<Volume> = [{ name: volumeName, emptyDir: {} }]

/**
 * GitHub has no Node for Alpine on arm64, and its runner refuses JavaScript actions there, unless it is told that the image is not Alpine. Then it starts
 * `/__e/node24/bin/node`: a script in its place can start the Node that fits.
 */
export const muslNodes = (imagePattern: string, mount: { readonly name: string; readonly subPath?: string }) =>
  ["20", "24"].map(
    (version): InitContainer => ({
      name: `musl-node-${version}`,
      image: imagePattern.replaceAll("{version}", version),
      command: ["sh", "-ec", muslScript, "sh", `/mnt/externals/node${version}`, "/usr/local/bin/node", "/usr/lib"],
      securityContext: { runAsUser: 0 },
      volumeMounts: [{ ...mount, mountPath: "/mnt/externals" }]
    })
  )

/** $1: `node<version>` of the externals, $2: the image's Node, $3: where its libraries are. */
export const muslScript = `cd "$1/bin"
[ -e node.glibc ] && exit 0
mkdir -p ../musl/lib
cp "$2" ../musl/node
for lib in "$3"/libstdc++.so.* "$3"/libgcc_s.so.*; do [ -e "$lib" ] && cp -P "$lib" ../musl/lib/; done
cat > node.jobscope <<'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for loader in /lib/ld-musl-*.so.1; do
  if [ -e "$loader" ]; then
    [ -e /usr/lib/libstdc++.so.6 ] || export LD_LIBRARY_PATH="$here/../musl/lib\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    exec "$here/../musl/node" "$@"
  fi
done
exec "$here/node.glibc" "$@"
END
chmod 755 node.jobscope
cp -p node node.glibc
mv -f node.jobscope node
`
